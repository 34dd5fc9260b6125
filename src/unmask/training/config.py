"""A training run as data: one YAML file, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unmask.errors import ConfigError
from unmask.losses import Positives
from unmask.models.airl import AIRLConfig
from unmask.models.registry import model_spec
from unmask.models.srm import SRMConfig

M = TypeVar("M", bound=BaseModel)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    index: Path | None = None
    """CSV or folder; relative to the configuration file. `--index` gives another."""
    families: dict[str, Annotated[float, Field(gt=0)]] = {"self_blend": 1.0, "reupsample": 1.0}
    """What the fakes are, with weights: synthesis families, or generators of the index."""
    beside: dict[str, list[str]] = {}
    """Generator of the index -> sources of the reals its fakes are paired and compared with."""
    sources: list[str] | None = None
    """Use only items of these sources (reals and their fakes); all when null."""
    soften_real_p: Annotated[float, Field(ge=0, le=1)] = 0.2
    equalise_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that one half of a pair gets the radial spectrum of the other."""
    damage_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that both halves of a pair are blurred by motion, noisy, or reduced and enlarged."""
    codec_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that both halves of a pair are first coded as in a clip, or as WebP."""
    ramp_epochs: Annotated[int, Field(ge=0)] = 4
    """Epochs over which laundering comes in."""
    window: Annotated[int, Field(ge=64, le=512)] | None = None
    """Side of the training window in pixels; the network's own when null."""
    side: Annotated[int, Field(ge=64, le=512)] | None = None
    """Side in pixels of everything the network sees, in training and after; its own when null."""
    native_size: Annotated[int, Field(ge=64, le=512)] | None = None
    """Side in pixels of the native window alone, in training and after; `side` when null."""
    native_limit: Annotated[float, Field(ge=1)] | None = None
    """Instead of the network's own `InputSpec.native_limit`; at 1 the window is the whole crop,
    resized, and no longer at native resolution."""
    forged: bool = True
    """Families of the package are forged from the reals, anew every time; false takes the fakes
    of that name from the index."""
    random_grid: bool = True
    """See `PairSettings`; false only to measure what it is worth."""
    own: bool = False
    """Fakes of the index stand beside the very real that they were made from."""
    repeats: Annotated[int, Field(ge=1)] = 1
    """How often each real occurs in an epoch."""
    draws: Annotated[int, Field(ge=1)] = 8
    """For networks whose front end has nothing to learn (`rich`): how often each real is drawn per
    family; the statistics of every draw are computed once and kept beside the crops."""
    workers: Annotated[int, Field(ge=0)] = 1
    """Loader processes."""


class DiscriminantConfig(_Section):
    """See `discriminant`."""

    ridge: Annotated[float, Field(gt=0)] = 0.3
    """Added to the variance of every statistic, which is 1."""
    changes: Annotated[float, Field(ge=0)] = 0.05
    """How much the movement of a real under each everyday change counts, as variance within its
    class."""
    under: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Of these changes (`video`, `reduced`, ...) those that both classes are also seen under, and
    how much each counts where pictures as they are count 1."""


class OptimConfig(_Section):
    epochs: Annotated[int, Field(ge=1)] = 50
    batch_size: Annotated[int, Field(ge=2)] = 32
    """Pictures per step, half of them real: of all processes and parts together."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """A step's batch goes through the network in this many parts, for less memory. Gradients are
    those of the whole batch, except that batch normalisation and the contrastive loss see each
    part alone."""
    optimizer: Literal["adam", "adamw", "sgd", "sam"] = "adam"
    """`sam` is sharpness-aware minimisation over SGD with momentum (see `optim.SAM`)."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of `sgd` and `sam`."""
    rho: Annotated[float, Field(gt=0)] = 0.05
    """Radius of `sam`."""
    loss: Literal["cross_entropy", "am_softmax"] = "cross_entropy"
    """`am_softmax` is for networks whose logit is a scaled difference of cosines (`srm`)."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    backbone_lr_factor: Annotated[float, Field(gt=0)] = 0.1
    """Learning rate of a pretrained RGB backbone relative to the rest; 1 from scratch."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    cosine: bool = False
    """Cosine decay to zero over the epochs; constant otherwise, as in the AIRL paper."""
    contrastive_weight: Annotated[float, Field(ge=0)] = 0.5
    temperature: Annotated[float, Field(gt=0)] = 0.07
    positives: Positives = "same_class"
    attention_weight: Annotated[float, Field(ge=0)] = 0.0
    """Of the squared error between the network's attention map and the masks, of pictures that have
    one: reals (zero everywhere), fakes forged here, fakes of an index with masks. It needs an AIRL
    network with `model_options: {attention: regress}` or `gate`; 0 asks for no masks. Each part of
    a batch (`accumulate`) divides by its own number of masks."""
    keep: Literal["best", "last"] = "best"
    """Which epoch's weights are kept: the best on validation items, or the last, so that those
    items take no part in the choice and the decision is fitted on pictures held out from it."""
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the weights of `start` in those that are kept, which are an average of both
    (Wortsman et al. 2022)."""
    erase_sources: bool = False
    """After training the logit is made blind to what tells the sources of reals apart, so that none
    of them is judged more harshly (see `erasure`)."""
    discriminant: DiscriminantConfig | None = None
    """Instead of all steps: a linear head on fixed statistics, computed in closed form. Nothing
    above but `erase_sources` counts then, and of the data no draws, windows or softening: it is
    computed on training pictures as scans see them."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of a running average of the weights, which is what is validated and kept; 0 is off."""
    precision: str = Field("32-true", pattern="^(32-true|bf16-mixed|16-mixed)$")
    """Of the network's forward and backward pass; weights and losses stay 32-bit."""
    channels_last: bool = True
    """Memory layout of the pictures and the network; it changes the speed, and sums by rounding."""

    def check(self, model: str) -> None:
        """Whether these settings can work together, and with the network of that name.

        Raises:
            ValueError: they cannot; the message begins with the field.
        """
        if self.batch_size % 2:
            raise ValueError("optim.batch_size must be even: half of each batch is real")
        if self.batch_size % (2 * self.accumulate):
            raise ValueError(
                f"optim.batch_size: {self.batch_size} pictures cannot be split into "
                f"optim.accumulate: {self.accumulate} equal parts that are half real; use a "
                f"multiple of {2 * self.accumulate}"
            )
        if self.contrastive_weight and self.batch_size // self.accumulate < 4:
            raise ValueError(
                "optim.contrastive_weight: in a batch, or part of one, with one real and one fake "
                "no picture has a positive, so the contrastive loss is zero; use a larger "
                "optim.batch_size, a smaller optim.accumulate, or optim.contrastive_weight: 0"
            )
        if self.warmup_epochs and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"optim.warmup_epochs: {self.warmup_epochs:g} are not fewer than optim.epochs: "
                f"{self.epochs}, so the learning rate would never be reached"
            )
        if self.loss == "am_softmax" and not isinstance(model_spec(model).config, SRMConfig):
            raise ValueError(
                "optim.loss: am_softmax needs a network whose logit is a scaled difference of "
                f"cosines (srm), not {model}; use cross_entropy"
            )
        if self.optimizer == "sam" and self.precision == "16-mixed":
            raise ValueError(
                "optim.precision: 16-mixed scales the loss and cannot compute it twice in a step, "
                "as optim.optimizer: sam does; use bf16-mixed or 32-true"
            )


PLACES: dict[str, Any] = {"data": {"index"}, "backbone_weights": True, "start": True}
"""What of a `TrainConfig` says where files lie, and nothing of a run."""
STEPS_DATA = {
    *("soften_real_p", "equalise_p", "damage_p", "codec_p", "ramp_epochs", "window"),
    *("random_grid", "own", "repeats", "draws", "workers"),
}
"""What of its data only training by steps goes by."""


class TrainConfig(_Section):
    """See docs/training.md. `seed` fixes initial weights, draws and order."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    model: str = "airl_b4"
    model_options: dict[str, Any] = {}
    """Overrides of the network's configuration."""
    pretrained: bool | None = None
    """ImageNet weights: null follows the network's published recipe."""
    backbone_weights: Path | None = None
    start: Path | None = None
    """Weights of an earlier run of the same network to go on from, in place of ImageNet's or random
    ones. What that run was trained on counts as trained on."""
    seed: Annotated[int, Field(ge=0)] = 0
    select_on: list[str] | None = None
    """Validation families whose mean AUC selects the checkpoint; the trained ones when null."""
    licence: str = "unspecified"
    """Licence of the weights: it follows from the training data."""
    limitations: list[str] = []
    """What the card says the weights are not for."""
    data: DataConfig
    optim: OptimConfig = OptimConfig()

    def told(self) -> dict[str, Any]:
        """For a record, as JSON has it: without the places of index and weights on this machine.

        Of a head in closed form, without what only training by steps goes by.
        """
        found = self.model_dump(mode="json", exclude=PLACES)
        if self.optim.discriminant is not None:
            found["data"] = {k: v for k, v in found["data"].items() if k not in STEPS_DATA}
            found["optim"] = {k: found["optim"][k] for k in ("discriminant", "erase_sources")}
        return found

    @model_validator(mode="after")
    def _can_work(self) -> TrainConfig:
        spec = model_spec(self.model)
        network = spec.config.model_validate({**spec.config.model_dump(), **self.model_options})
        self.optim.check(self.model)
        self._check_attention(network)
        unknown = set(self.select_on or ()) - set(self.data.families)
        if unknown:
            raise ValueError(
                f"select_on may only name families that are trained on, not {sorted(unknown)}: "
                "selection on anything else would leak the test"
            )
        return self

    def _check_attention(self, network: BaseModel) -> None:
        """The attention loss and the map it is of need each other."""
        weight = self.optim.attention_weight
        if not isinstance(network, AIRLConfig):
            if weight:
                raise ValueError(
                    "optim.attention_weight needs an AIRL network with an attention map, not "
                    f"{self.model}; leave it out, or choose a network of AIRL with an RGB stream"
                )
        elif weight and network.rgb is None:
            raise ValueError(
                "optim.attention_weight: the attention map is of the RGB stream, which "
                f"{self.model} does not have with these options; leave it out, or give the stream"
            )
        elif weight and network.attention == "none":
            raise ValueError(
                f"optim.attention_weight: {self.model} has no attention map; add model_options: "
                "{attention: regress} or {attention: gate}"
            )
        elif not weight and network.attention == "regress":
            raise ValueError(
                "model_options.attention: only the attention loss trains the map of `regress`; set "
                "optim.attention_weight, or use attention: gate or none"
            )


def faults(error: ValidationError) -> str:
    """What a validation found, an indented line for each field."""
    return "".join(
        f"\n  {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
    )


def read_yaml(
    path: Path,
    kind: type[M],
    what: str = "configuration",
    change: Callable[[Any], None] | None = None,
) -> M:
    """A YAML file as a model of pydantic's.

    Args:
        path: of the file.
        kind: what it holds.
        what: what to call the file where there is none.
        change: what is done to its data before they are checked.

    Raises:
        ConfigError: no such file, not YAML, or a value that cannot work, each with its field.
    """
    if not path.is_file():
        raise ConfigError(f"There is no {what} {path}.")
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
        if change is not None:
            change(raw)
        return kind.model_validate(raw)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path} cannot work:{faults(error)}") from error


def load_config(path: Path) -> TrainConfig:
    """Read a YAML configuration; relative paths in it are relative to the file.

    Raises:
        ConfigError: no such file, not YAML, or a value that cannot work, each with its field.
    """
    config = read_yaml(path, TrainConfig)
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"index": _beside(path, config.data.index)}),
            "backbone_weights": _beside(path, config.backbone_weights),
            "start": _beside(path, config.start),
        }
    )


def _beside(config: Path, path: Path | None) -> Path | None:
    return None if path is None else config.parent / path


def with_overrides(
    config: TrainConfig,
    *,
    index: Path | None = None,
    backbone_weights: Path | None = None,
    pretrained: bool | None = None,
    start: Path | None = None,
) -> TrainConfig:
    """The configuration with what the command line says instead.

    Raises:
        ConfigError: neither the file nor the command line names an index.
    """
    if index is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"index": index})})
    if config.data.index is None:
        raise ConfigError("No index to train on.", "Give --index FILE.csv, or set data.index.")
    if backbone_weights is not None:
        config = config.model_copy(update={"backbone_weights": backbone_weights})
    if start is not None:
        config = config.model_copy(update={"start": start})
    if pretrained is not None:
        config = config.model_copy(update={"pretrained": pretrained})
    return config
