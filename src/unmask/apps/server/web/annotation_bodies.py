"""What the annotation interface takes and sends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from unmask.apps.server.api.problem import Problem

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Kind = Literal["mask", "no_forgery", "skipped"]
State = Literal["open", "mask", "no_forgery", "skipped"]
MOST_RUNS = 4_000_000


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RunLengths(_Body):
    """A mask as COCO has it: run lengths down the columns, those of False first."""

    size: tuple[Annotated[int, Field(ge=1, le=65_535)], Annotated[int, Field(ge=1, le=65_535)]] = (
        Field(description="height and width in pixels")
    )
    counts: (
        Annotated[list[Count], Field(max_length=MOST_RUNS)]
        | Annotated[str, Field(max_length=4 * MOST_RUNS)]
    ) = Field(description="numbers, or COCO's packed string")


class Progress(_Body):
    """How far the pictures of one selection rule are."""

    rule: str
    selected: Count = Field(description="the budget: how many pictures were chosen")
    open: Count
    mask: Count
    no_forgery: Count
    skipped: Count


class QueueItem(_Body):
    """A picture that was chosen for a mask."""

    rank: Annotated[int, Field(ge=1)]
    picture: str = Field(description="its path within the project")
    sha256: Sha256
    rule: str
    score: FiniteFloat | None = Field(description="by the rule, if it has one")
    state: State
    annotator: str | None = Field(description="who gave the latest answer")


class Queue(_Body):
    """Chosen pictures, the most wanted first."""

    progress: list[Progress] = Field(description="by rule, over the whole queue")
    items: list[QueueItem]
    next: Annotated[int, Field(ge=1)] | None = Field(
        description="to send as 'after' for the next page; null at the end"
    )


class Answer(_Body):
    """What somebody said of a picture."""

    kind: Kind
    annotator: str
    time: datetime
    revision: Annotated[int, Field(ge=1)]
    source: Literal["imported", "oracle", "painted"]
    note: str
    mask: RunLengths | None = Field(description="of the kind 'mask'")


class PictureState(_Body):
    """A picture, and the answer that counts."""

    picture: str
    sha256: Sha256
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    real: bool = Field(description="the data set calls it real, so it takes no mask")
    revision: Count = Field(description="of the latest answer, 0 before there is one")
    answer: Answer | None


class NewAnswer(_Body):
    """An answer to give."""

    kind: Kind
    revision: Count = Field(description="the latest that was seen; a later one makes it a 409")
    mask: RunLengths | None = Field(default=None, description="of the kind 'mask', and only then")
    annotator: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="who paints; with a token its name is taken"
    )
    note: Annotated[str, Field(max_length=1000)] = ""


class Conflict(Problem):
    """Somebody else answered first; nothing was written."""

    latest: Answer
