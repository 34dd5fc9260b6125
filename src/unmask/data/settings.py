"""Settings that decide how a folder of data comes out, and so have a hash that names them."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from unmask.errors import ConfigError


def refused(what: str, error: ValidationError) -> ConfigError:
    """What a validation found, with the name of every field, in one line."""
    lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return ConfigError(f"{what}: {'; '.join(lines)}.")


class HashedSettings(BaseModel):
    """Base of such settings; two folders with the same hash were made alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Settings by name; the others have their defaults.

        Raises:
            ConfigError: an unknown name or a value out of range, each with its name.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise refused("These settings cannot be", error) from error

    @property
    def sha256(self) -> str:
        """Hash of the settings as JSON with sorted keys and no spaces."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
