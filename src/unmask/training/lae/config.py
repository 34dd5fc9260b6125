"""A run of the LAE as data: one YAML file with `kind: lae`, checked before anything is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from unmask.data.annotation.queue import budget_of
from unmask.data.protocols.normalise import Normalise
from unmask.errors import ConfigError
from unmask.losses import AttentionScale
from unmask.losses.perceptual import LAYERS
from unmask.models.lae import LAEConfig
from unmask.models.registry import model_spec
from unmask.training.active import Rule
from unmask.training.config import read_yaml
from unmask.transforms.preprocess import InputSpec

KIND = "lae"
ORACLE = "oracle"
Weight = Annotated[float, Field(ge=0)]
Precision = Literal["32-true", "bf16-mixed"]
Quality = Annotated[int, Field(ge=1, le=100)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """What is trained on: a protocol, or families of one index with its own splits."""

    protocol: str | None = None
    """Name of a protocol (`unmask evaluate --protocols` lists them)."""
    families: tuple[str, ...] = ()
    """Instead of a protocol: manipulations of an index that are trained on."""
    unseen: tuple[str, ...] = ()
    """With `families`: manipulations that are only tested."""
    normalise: Normalise | None = None
    """With `families`: the step that both classes go through."""
    indices: dict[str, Path] = {}
    """Data set -> its index; relative to the configuration file. `--index` gives another."""
    side: Annotated[int, Field(ge=32, le=512, multiple_of=16)] = 256
    """Of the network's pictures, in pixels."""
    window: bool = False
    """They are windows of the crops at native resolution, at random places in training and in the
    middle in tests, instead of whole crops brought to `side`: resizing wipes out fine traces."""
    jpeg_quality: tuple[Quality, Quality] | None = (70, 100)
    """Training pairs are encoded at a quality drawn from here, real and fake alike; null: not."""
    own: bool = False
    """A batch holds beside each real the fake that was made from it, where there is one: whatever
    else tells two pictures apart is then the same in both."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Loader processes."""

    @model_validator(mode="after")
    def _one_way(self) -> DataConfig:
        if (self.protocol is None) == (not self.families):
            raise ValueError("data names either a protocol, or families to train on")
        if self.protocol is not None and (self.unseen or self.normalise):
            raise ValueError("data.unseen and data.normalise belong to data.families")
        if self.jpeg_quality and self.jpeg_quality[0] > self.jpeg_quality[1]:
            raise ValueError("data.jpeg_quality must be (low, high)")
        return self


class Losses(_Section):
    """Weights of the losses that both stages have; 0 switches one off."""

    pixel: Weight = 1.0
    """Mean squared error of the reconstruction, RGB in [-1, 1]."""
    perceptual: Weight = 1.0
    adversarial: Weight = 0.01
    latent: Annotated[float, Field(gt=0)] = 1.0
    perceptual_weights: str = "hub"
    """VGG16's: `hub`, `random`, `none`, or a .safetensors file (relative to the YAML file)."""
    perceptual_layers: Annotated[tuple[str, ...], Field(min_length=1)] = ("relu2_2",)
    discriminator_width: Annotated[int, Field(ge=1)] = 64

    @model_validator(mode="after")
    def _known(self) -> Losses:
        unknown = sorted(set(self.perceptual_layers) - LAYERS)
        if unknown:
            raise ValueError(f"losses.perceptual_layers: VGG16 has no {', '.join(unknown)}")
        known = ("hub", "random", "none")
        given = self.perceptual_weights
        if given not in known and not given.endswith(".safetensors"):
            raise ValueError(
                f"losses.perceptual_weights must be {', '.join(known)} or a .safetensors file"
            )
        return self

    @property
    def source(self) -> Literal["hub", "random", "none"] | Path:
        """What `build_perceptual` is given; `none` where the weight is 0."""
        if not self.perceptual or self.perceptual_weights == "none":
            return "none"
        if self.perceptual_weights == "hub":
            return "hub"
        return "random" if self.perceptual_weights == "random" else Path(self.perceptual_weights)


class StageOne(_Section):
    """Reconstruction and latent. Adam; half of every batch is real."""

    epochs: Annotated[int, Field(ge=1)] = 20
    batch_size: Annotated[int, Field(ge=2, multiple_of=2)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    discriminator_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Learning rate of the discriminator; DCGAN's, with its first moment of 0.5."""


class Selection(_Section):
    """Which training fakes get a mask."""

    rule: Rule = "published"
    budget: str = "3%"
    """A number of masks, or percent of the training fakes."""
    store: str = ORACLE
    """`oracle` asks the data set's own masks; else a folder of `unmask annotate`, whose masks are
    taken as they are, without a selection."""

    @model_validator(mode="after")
    def _budget(self) -> Selection:
        try:
            budget_of(self.budget, 10**9)
        except ConfigError as error:
            raise ValueError(f"selection.budget: {error.message}") from error
        return self


class StageTwo(_Section):
    """The same losses, and the attention loss on pictures that have a mask."""

    epochs: Annotated[int, Field(ge=1)] = 3
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    attention: Weight = 1.0
    attention_scale: AttentionScale = "none"
    masked_batch: Annotated[int, Field(ge=0)] = 8
    """Pictures with a mask that are added to every batch for the attention loss alone: with few
    masks most batches hold none by themselves. 0: none are added."""
    quiet_reals: bool = False
    """Draw the maps of reals to zero, too; that needs no mask, but is not in the paper."""


class LAETrainConfig(_Section):
    """The whole run. `seeds`: `unmask train` takes the first, a comparison all of them."""

    kind: Literal["lae"] = "lae"
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    data: DataConfig
    model_options: dict[str, Any] = {}
    """Of `models.lae.LAEConfig`; its size is `data.side`."""
    losses: Losses = Losses()
    stage_one: StageOne = StageOne()
    selection: Selection = Selection()
    stage_two: StageTwo = StageTwo()
    precision: Precision = "32-true"
    """Of both stages; bfloat16 takes half the time on a processor that has it."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    licence: str = "unspecified"
    limitations: list[str] = []

    @model_validator(mode="after")
    def _can_work(self) -> LAETrainConfig:
        if "size" in self.model_options:
            raise ValueError("model_options.size: set data.side instead")
        self.network()
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ")
        return self

    def network(self) -> LAEConfig:
        """The network's configuration."""
        return LAEConfig.model_validate({"size": self.data.side, **self.model_options})

    def input(self) -> InputSpec:
        """What the network takes."""
        spec, side = model_spec(KIND).input, self.data.side
        if self.data.window:
            return InputSpec(native_size=side, mean=spec.mean, std=spec.std)
        return spec.model_copy(update={"rgb_size": side})

    def sha256(self, *, first: bool = False) -> str:
        """Hash of what decides a result; with `first` of stage 1 alone, which all arms share."""
        given = self.model_dump(mode="json", exclude={"data": {"indices", "workers"}})
        for name in ("name", "seeds", "licence", "limitations"):
            del given[name]
        if first:
            del given["selection"], given["stage_two"]
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def is_lae(path: Path) -> bool:
    """Whether a YAML file says `kind: lae`; False also for one that cannot be read."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(raw, Mapping) and raw.get("kind") == KIND


def load_lae_config(path: Path, changes: Sequence[str] = ()) -> LAETrainConfig:
    """Read a YAML configuration; relative paths in it are relative to the file.

    Args:
        path: of the file.
        changes: SECTION.FIELD=VALUE, the value in YAML, instead of what the file says.

    Raises:
        ConfigError: no such file, not YAML, or a value that cannot work, each with its field.
    """

    def changed_in(raw: Any) -> None:
        for change in changes:
            _change(raw, change)

    config = read_yaml(path, LAETrainConfig, change=changed_in)
    home = path.parent
    data, losses, selection = config.data, config.losses, config.selection
    indices = {name: home / given for name, given in data.indices.items()}
    if isinstance(losses.source, Path):
        losses = losses.model_copy(update={"perceptual_weights": str(home / losses.source)})
    if selection.store != ORACLE:
        selection = selection.model_copy(update={"store": str(home / selection.store)})
    changed = {"data": data.model_copy(update={"indices": indices})}
    return config.model_copy(update={**changed, "losses": losses, "selection": selection})


def _change(raw: Any, change: str) -> None:
    place, equals, value = change.partition("=")
    *sections, name = place.split(".")
    for section in sections:
        raw = raw.setdefault(section, {}) if isinstance(raw, dict) else None
    if not equals or not isinstance(raw, dict):
        raise ConfigError(f"{change} cannot be a change of a configuration.",
                          "Write SECTION.FIELD=VALUE, as in stage_one.epochs=3.")  # fmt: skip
    raw[name] = yaml.safe_load(value)
