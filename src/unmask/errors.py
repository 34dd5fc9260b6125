"""Every error this package raises on purpose: what went wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from pydantic import ValidationError

FailureStatus = Literal["not_applicable", "limit_exceeded", "unreadable", "error"]


class UnmaskError(Exception):
    """Base of all deliberate errors.

    Args:
        message: what is wrong, with the value that was seen.
        hint: what the user can do about it; shown on a line of its own.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class ConfigError(UnmaskError):
    """A setting, a configuration file or an argument cannot work as given."""


class ShapeError(UnmaskError, ValueError):
    """An array or tensor does not have the shape, dtype or range that is required."""


class CheckpointError(UnmaskError):
    """Weights or their card are missing, damaged, or do not fit the network."""


class DatasetError(UnmaskError):
    """An index or a data set's folder does not have the expected layout."""


class MissingExtraError(UnmaskError, ImportError):
    """A command needs an optional part of the package that is not installed."""

    def __init__(self, command: str, extra: str, missing: str) -> None:
        super().__init__(
            f"{command} needs the package '{missing}', which is not installed.",
            f"Install it with: pip install 'unmask[{extra}]'",
        )
        self.extra = extra


class MediaError(UnmaskError):
    """An input gave no frames. Becomes a result with a status and a reason, never a score.

    Args:
        status: the result's status.
        reason: one of `unmask.results.REASONS`.
        message: the same for a person, with numbers.
        hint: what to do about it.
    """

    def __init__(
        self, status: FailureStatus, reason: str, message: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.reason = reason

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str, str, str | None]]:
        """Survives the trip back from a decoding process."""
        return (type(self), (self.status, self.reason, self.message, self.hint))


def first_fault(error: ValidationError, whole: str = "the text") -> str:
    """The first thing that a validation found, as `field: what is wrong with it`.

    Args:
        error: of pydantic.
        whole: what to name where no field is at fault, but all of it.
    """
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or whole}: {first['msg']}"
