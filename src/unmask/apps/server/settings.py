"""How the service is set up: one object that the service and its workers both read."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from unmask.apps.cli.backend import DEFAULT_FRAMES, DEFAULT_MODEL
from unmask.data.settings import CheckedSettings
from unmask.media.limits import MIB

_HOUR = 3600.0

AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a service that listens there.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost")
    (True, True, True)
    >>> is_loopback("0.0.0.0"), is_loopback("forensics.example")
    (False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class ServerSettings(CheckedSettings):
    """Everything the service and its workers can be told. Paths become absolute."""

    refusal = "The service cannot be set up so"

    data: AbsolutePath
    """Folder of the service: uploads, evidence and, unless told, the database."""
    database: str | None = Field(None, repr=False)
    """Database URL (`sqlite:///FILE` or `postgresql://...`). None: `service.db` in `data`.

    Not shown with the settings, for it may hold a password."""
    model: str = DEFAULT_MODEL
    """Name of a packaged model, or path of a .safetensors file."""
    calibration: AbsolutePath | None = None
    """File of `unmask calibrate` with the thresholds to judge by; None: those of the model."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    max_frames: int = Field(DEFAULT_FRAMES, ge=1, le=10_000)
    """Frames per video where a request asks for no other number; also the most it may ask."""
    workers: int = Field(1, ge=0)
    """Worker processes that `unmask serve` starts; 0 where they run on their own."""
    jobs: int | None = Field(None, ge=1)
    """Decoding processes per worker. None: half the cores."""
    max_upload_bytes: int = Field(512 * MIB, ge=1)
    """Size of one uploaded file."""
    max_uploads: int = Field(32, ge=1)
    """Uploads that one service receives at a time; beyond it one is refused until another ends."""
    queue_limit: int = Field(256, ge=1)
    """Queued jobs at a time; beyond it an upload is refused until some are done."""
    retention_s: float = Field(24 * _HOUR, gt=0)
    """Seconds after its end until a job's upload, result and evidence are deleted."""
    lease_s: float = Field(30.0, gt=0)
    """Seconds without a sign of life until a worker's job is given to another."""
    max_attempts: int = Field(5, ge=1)
    """Workers a job may be lost with until it is failed."""
    rate_per_minute: int = Field(120, ge=1)
    """Requests per token, or per address where there are no tokens."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than loopback needs a token in the store."""
    port: int = Field(8000, ge=0, le=65_535)
    """0: any free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, beside those of loopback, that a request's Host header may have."""
    behind_tls: bool = False
    """A proxy in front of the service ends TLS: session cookies are marked Secure."""
    audit_retention_s: float = Field(365 * 24 * _HOUR, gt=0)
    """Seconds until an entry of the audit log is deleted."""
    annotations: AbsolutePath | None = None
    """Folder of the annotation project; None: the Annotate page is off."""

    @property
    def uploads(self) -> Path:
        """Folder of the uploaded files."""
        return self.data / "uploads"

    @property
    def evidence(self) -> Path:
        """Folder of the evidence: reports and pictures."""
        return self.data / "evidence"

    def upload_path(self, job: str) -> Path:
        """Where a job's media lies; an upload is written here before there is a job.

        Args:
            job: the job's id, which for a new upload is a fresh `new_id()`.
        """
        return self.uploads / job / "media"
