"""Settings checked by name; some decide how a folder of data comes out, and have a hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from unmask.errors import ConfigError


class CheckedSettings(BaseModel):
    """Settings that say which of them cannot be."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    refusal: ClassVar[str] = "These settings cannot be"

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Settings by name; the others have their defaults.

        Raises:
            ConfigError: an unknown name or a value out of range, each with its name.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise ConfigError(f"{cls.refusal}: {'; '.join(lines)}.") from error


class HashedSettings(CheckedSettings):
    """Base of such settings; two folders with the same hash were made alike."""

    @property
    def sha256(self) -> str:
        """Hash of the settings as JSON with sorted keys and no spaces."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
