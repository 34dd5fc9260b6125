"""What a comparison runs, as data: its arms, seeds and budget."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unmask.errors import ConfigError
from unmask.training.config import PLACES, TrainConfig, faults

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Arm(_Model):
    """One model of the table, and how it differs from what is common to all."""

    model: str
    summary: str = ""
    pretrained: bool | None = None
    """Whether it begins from ImageNet weights; as the others do when null."""
    model_options: dict[str, Any] = {}
    data: dict[str, Any] = {}
    optim: dict[str, Any] = {}


class Common(_Model):
    """The budget: what all arms are trained with, as parts of a training configuration."""

    pretrained: bool = False
    data: dict[str, Any] = {}
    optim: dict[str, Any] = {}


class Table(_Model):
    """A table of models to compare, from YAML."""

    name: str = Field(pattern=NAME)
    summary: str
    reference: str
    """The arm that all others are tested against."""
    budget: str
    """The budget in words, for the page."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    common: Common = Common()
    arms: Annotated[dict[Annotated[str, Field(pattern=NAME)], Arm], Field(min_length=1)]
    sweep_each: Annotated[int, Field(ge=0)] = 10
    """Fakes of each unseen family in the perturbation sweep, and as many reals as fakes; the sweep
    is for the first seed alone. 0: no sweep."""
    embedded_each: Annotated[int, Field(ge=0)] = 40
    """Items of each group in the picture of the embedding, of the first seed."""

    @model_validator(mode="after")
    def _consistent(self) -> Table:
        if self.reference not in self.arms:
            raise ValueError(f"reference {self.reference!r} is not one of the arms")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ")
        return self

    def config(self, arm: str, seed: int, families: Mapping[str, float]) -> TrainConfig:
        """The training configuration of one run.

        Args:
            arm: name of an arm.
            seed: of the run.
            families: what the protocol trains on; an arm may name its own.

        Raises:
            ConfigError: it cannot work.
        """
        chosen = self.arms[arm]
        data = {
            "families": dict(families),
            "forged": False,
            **self.common.data,
            **chosen.data,
        }
        try:
            return TrainConfig.model_validate(
                {
                    "name": f"{arm}-{seed}",
                    "model": chosen.model,
                    "model_options": chosen.model_options,
                    "pretrained": self.common.pretrained
                    if chosen.pretrained is None
                    else chosen.pretrained,
                    "seed": seed,
                    "data": data,
                    "optim": {**self.common.optim, **chosen.optim},
                }
            )
        except ValidationError as error:
            raise ConfigError(
                f"The arm {arm} of the table {self.name} cannot work:{faults(error)}"
            ) from error

    def part(self, arms: tuple[str, ...], seeds: tuple[int, ...]) -> Table:
        """Only some arms and seeds; all of what is not named.

        Raises:
            ConfigError: an arm that the table does not have, or a seed twice.
        """
        if len(set(seeds)) < len(seeds):
            raise ConfigError(f"Seeds must differ; got {', '.join(map(str, seeds))}.")
        unknown = [arm for arm in arms if arm not in self.arms]
        if unknown:
            raise ConfigError(
                f"The table {self.name} has no arm {', '.join(unknown)}.",
                f"It has: {', '.join(self.arms)}.",
            )
        chosen = {n: a for n, a in self.arms.items() if not arms or n in arms}
        reference = self.reference if self.reference in chosen else next(iter(chosen))
        return self.model_copy(
            update={"arms": chosen, "seeds": seeds or self.seeds, "reference": reference}
        )


class Plan(_Model):
    """A table, a protocol and the test columns beside its own: `plan.json` of an output folder."""

    protocol: str
    table: Table
    families: dict[str, float]
    """What is trained on, and the weights."""
    unseen: dict[str, str] = {}
    """Further columns of fakes: name -> the path that was given, for the record."""
    beside: dict[str, tuple[str, ...]] = {}
    """Column -> sources of the reals it is set against; all test reals where not named."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of scoring."""
    seed: int = 0
    """Of what is drawn for the test pictures, the same for all runs."""
    items_sha256: str
    """Of the test items and the training crops: another index is another comparison."""
    dropped: dict[str, int] = {}
    """Test pictures without a usable face: set and family -> how many."""


def config_sha256(config: TrainConfig) -> str:
    """Hash of all that shapes a run but the place of its files.

    Settings that are as they are by default do not count, so that it outlives new ones.
    """
    given = config.model_dump(
        mode="json",
        exclude=PLACES | {"data": PLACES["data"] | {"workers"}},
        exclude_defaults=True,
    )
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def load_table(name: str) -> Table:
    """A table that comes with the package, by name, or one from a YAML file.

    Raises:
        ConfigError: neither, not YAML, or a table that cannot be, with its field.
    """
    folder = resources.files("unmask.apps.benchmark").joinpath("tables")
    known = {Path(f.name).stem: f for f in folder.iterdir() if f.name.endswith(".yaml")}
    path = Path(name)
    if name in known:
        text = known[name].read_text("utf-8")
    elif path.suffix in (".yaml", ".yml") and path.is_file():
        text = path.read_text("utf-8")
    else:
        raise ConfigError(
            f"There is no table {name!r}.",
            f"Name one of: {', '.join(sorted(known))}; or give a YAML file.",
        )
    try:
        return Table.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not valid YAML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"The table {name} cannot be:{faults(error)}") from error
