"""`evidence.json`: what there is to look at beside a result, and in which files."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from unmask.results import Probability

EVIDENCE_JSON = "evidence.json"
REPORT_HTML = "report.html"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Files(_Model):
    """Pictures of one key frame, relative to the folder of `evidence.json`."""

    crop: str = Field(description="JPEG of the face crop")
    heat: str = Field(description="PNG to lay over the crop, of the same size: the heat alone")
    heatmap: str = Field(description="PNG of the crop with the heat over it, in the crop's pixels")
    residual: str = Field(description="PNG of the frequency stream's high-pass residual")


class KeyFrame(_Model):
    """One face in one frame, of those that say most."""

    index: Annotated[int, Field(ge=0)]
    t: Annotated[float, Field(ge=0)] | None = Field(description="seconds; null for a still")
    box: tuple[float, float, float, float] = Field(
        description="of the face, xyxy in the frame's pixels"
    )
    crop_box: tuple[int, int, int, int] = Field(
        description="of the crop before any quarter turn; may reach beyond the frame"
    )
    quarter_turns: Annotated[int, Field(ge=0, le=3)] = Field(
        description="by 90 degrees counter-clockwise, from the frame to the crop"
    )
    score: Probability
    quality: str = Field(description="'ok', or flags joined by '+'")
    bands: list[float] = Field(
        description="log10 of the mean DCT energy of the diagonals u + v = 1 .. 14"
    )
    gain: float = Field(description="of the residual picture: grey = 127.5 + gain * residual")
    files: Files
    width: Annotated[int, Field(gt=0)] = Field(description="of crop and heat, in pixels")
    height: Annotated[int, Field(gt=0)]


class FaceEvidence(KeyFrame):
    """A face of the result in the frame that scored highest, and in further ones.

    The files of this frame are `faces/ID/crop.jpg`, `heat.png`, `heatmap.png`, `residual.png`;
    the others' names have the frame's index in them.
    """

    id: Annotated[int, Field(ge=0)] = Field(description="as in the result's `faces`")
    reference: list[tuple[float, float, float]] = Field(
        description="5th, 50th and 95th percentile of each band over the real faces the model "
        "was calibrated on"
    )
    others: list[KeyFrame] = Field(description="in order of time")


class EvidenceFile(_Model):
    """All evidence of one result; without faces where the input was not scored."""

    schema_: Literal["unmask.evidence/1"] = Field(default="unmask.evidence/1", alias="schema")
    job: str
    sha256: str | None = Field(description="of the input")
    weights_sha256: str
    settings_sha256: str
    made: datetime
    report: str = REPORT_HTML
    faces: list[FaceEvidence]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def to_json(self) -> str:
        """As it stands in the file."""
        return self.model_dump_json(by_alias=True, indent=2)
