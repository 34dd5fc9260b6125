"""The result of looking at one input: the same schema for files, command line and service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA = "unmask.result/1"

Status = Literal["scored", "not_applicable", "limit_exceeded", "unreadable", "error"]
Verdict = Literal["likely_manipulated", "inconclusive", "no_evidence_found"]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]

REASONS: dict[str, str] = {
    # why nothing was scored
    "no_face": "no face was found",
    "missing": "there is no such file",
    "empty_file": "the file has no bytes",
    "unsupported_format": "the content is not one of the supported picture or video formats",
    "damaged": "the file is damaged and cannot be decoded",
    "no_video_stream": "the file has no video stream",
    "zero_frames": "no frame could be decoded",
    "too_many_pixels": "the picture is larger than the limit",
    "too_many_bytes": "the file is larger than the limit",
    "too_long": "the clip is longer than the limit",
    "timeout": "decoding took longer than the limit",
    "decoder_crashed": "the decoder crashed on this file",
    "out_of_memory": "decoding needed more memory than the limit",
    "permission_denied": "the file may not be read",
    "internal_error": "unmask failed; please report it",
    # what to know about a score
    "truncated": "the file ends early; the missing part could not be looked at",
    "face_too_small": "the face is too small to judge well",
    "too_blurry": "the face is too blurry to judge well",
    "blurry": "the face is so blurry that a forgery may have lost its traces",
    "too_dark": "the face is too dark to judge well",
    "too_few_frames": "too few frames with a face to judge a video well",
    "out_of_domain": "unlike the pictures the error rate was measured on",
    "unfamiliar": "what the network sees is unlike both the real and the manipulated faces that it "
    "was measured on",
}
"""Every reason a result may give, with its meaning for a person."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputInfo(_Model):
    """What was looked at. Fields that could not be found out are null."""

    path: str
    sha256: str | None = None
    bytes: Annotated[int, Field(ge=0)] | None = None
    media: Literal["image", "video"] | None = None
    format: str | None = Field(default=None, description="container or picture format, as sniffed")
    width: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="upright, in pixels"
    )
    height: Annotated[int, Field(gt=0)] | None = None
    duration_s: Annotated[float, Field(ge=0)] | None = None


class Calibrated(_Model):
    """The score as a probability, valid only in the domain it was fitted on."""

    p_fake: Probability
    log10_lr: float | None = Field(
        description="log10 likelihood ratio, fake to real; null outside the domain"
    )
    domain: str
    in_domain: bool


class Threshold(_Model):
    """Where the verdict changes, and how often reals pass `flag`."""

    flag: Probability
    clear: Probability
    fpr_at_flag: Probability
    ci95: tuple[Probability, Probability]
    measured_on: str


class Coverage(_Model):
    frames_read: Annotated[int, Field(ge=0)] = 0
    frames_failed: Annotated[int, Field(ge=0)] = 0
    faces_scored: Annotated[int, Field(ge=0)] = 0


class FaceFrame(_Model):
    """One face in one frame."""

    index: Annotated[int, Field(ge=0)]
    t: Annotated[float, Field(ge=0)] | None = None
    box: tuple[float, float, float, float] = Field(description="xyxy in pixels of the frame")
    score: Probability
    quality: str = Field(default="ok", description="'ok', or flags joined by '+'")


class FaceTrack(_Model):
    """One face followed through the input."""

    id: Annotated[int, Field(ge=0)]
    score: Probability
    start_s: Annotated[float, Field(ge=0)] | None = None
    end_s: Annotated[float, Field(ge=0)] | None = None
    frames: list[FaceFrame]
    heatmap: str | None = Field(
        default=None, description="path of the heatmap picture, if one was asked"
    )


class Run(_Model):
    """What made the result: enough to make it again."""

    tool: str
    model: str
    weights_sha256: str
    settings_sha256: str
    device: str
    seconds: Annotated[float, Field(ge=0)]
    max_frames: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="frames asked for per video; null in results before 0.1"
    )
    limits: dict[str, int | float] = Field(
        default_factory=dict, description="decoding limits that were not the defaults, by name"
    )


class Result(_Model):
    """One per input; no input is omitted, and a failure is never a score."""

    schema_: Literal["unmask.result/1"] = Field(default="unmask.result/1", alias="schema")
    input: InputInfo
    status: Status
    reasons: list[str] = Field(default_factory=list)
    message: str | None = Field(
        default=None, description="the reasons for a person, with what to do"
    )
    verdict: Verdict | None = None
    score: Probability | None = Field(default=None, description="P(fake) of the model")
    calibrated: Calibrated | None = None
    threshold: Threshold | None = None
    coverage: Coverage = Coverage()
    faces: list[FaceTrack] = Field(default_factory=list)
    run: Run | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _scored_means_score(self) -> Result:
        scored = self.status == "scored"
        if scored != (self.score is not None) or scored != (self.verdict is not None):
            raise ValueError("score and verdict are set if and only if status is 'scored'")
        unknown = [r for r in self.reasons if r not in REASONS]
        if unknown:
            raise ValueError(f"unknown reasons {unknown}; expected some of {sorted(REASONS)}")
        if not scored and not self.reasons:
            raise ValueError(f"status '{self.status}' needs at least one reason")
        return self

    def to_json(self, indent: int | None = None) -> str:
        """The result as JSON, one line unless `indent` is given."""
        return self.model_dump_json(by_alias=True, indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Result:
        """Read what `to_json` wrote; raises `pydantic.ValidationError` on anything else."""
        return cls.model_validate_json(text)
