"""The parts of the default model and of models like it, trained unless they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from record import command

from unmask.data.crops import Crops
from unmask.models.checkpoint import load_checkpoint, read_card
from unmask.training.config import TrainConfig, load_config
from unmask.training.fuse import fuse, fuse_on
from unmask.training.members import Member
from unmask.training.run import train, train_on

DEFAULT = Path("configs/default.yaml")
FIRST = Path("configs/default_first.yaml")
SECOND = Path("configs/default_second.yaml")
"""The run that goes on from the first."""
THIRD = Path("configs/default_third.yaml")
"""And the one that goes on from that."""
EARLIER = {SECOND: FIRST, THIRD: SECOND}
PROBE = Path("configs/default_probe.yaml")
MEMBERS = (THIRD, PROBE)
SHARES = (0.5, 0.5)
"""Of these in the mean."""
EXPERT = Path("configs/default_expert.yaml")
MARGIN = 2.0
SLOPE = 2.0
"""Of the expert, see `unmask.training.members.Member`."""
LEFT_OUT = Path("configs/left_out")


def kept(out: Path, config: TrainConfig) -> Path | None:
    """A configuration's weights, where they are there already."""
    path = out / f"{config.name}.safetensors"
    if not path.is_file():
        return None
    if (found := read_card(path).architecture) != config.model:
        raise SystemExit(f"{path} is a network {found}, not {config.model}: delete {out}.")
    return path


class Parts(NamedTuple):
    """Weights by configuration, made now unless they are there.

    Attributes:
        index, fakes: what they are trained on.
        backbone_weights: ImageNet weights.
        runs: a folder for each.
    """

    index: Path
    fakes: Mapping[str, Path]
    backbone_weights: Path | None
    runs: Path

    def trained(self, config: Path) -> Path:
        """By `unmask train`."""
        out = self.runs / config.stem
        if (found := kept(out, load_config(config))) is not None:
            return found
        start = self.trained(EARLIER[config]) if config in EARLIER else None
        return train(
            config,
            out=out,
            index=self.index,
            fakes=self.fakes,
            backbone_weights=self.backbone_weights if start is None else None,
            start=start,
            resume=True,
        )

    def default(self) -> Path:
        """By `unmask fuse`."""
        out = self.runs / DEFAULT.stem
        if (found := kept(out, load_config(DEFAULT))) is not None:
            return found
        return fuse(
            DEFAULT,
            [self.trained(part) for part in MEMBERS],
            out=out,
            shares=SHARES,
            experts=[self.trained(EXPERT)],
            margins=[MARGIN],
            slopes=[SLOPE],
            index=self.index,
            fakes=self.fakes,
        )

    def without_expert(self, crops: Crops) -> Path:
        """The members of the default model alone."""
        config = load_config(DEFAULT).model_copy(update={"name": "without-expert"})
        members = [self.trained(part) for part in MEMBERS]
        return self._fused(config, members, None, crops)

    def head_without(self, fold: Path, crops: Crops) -> Path:
        """A head on frozen features that never saw the families that a fold lacks."""
        config = self._of_fold(PROBE, fold)
        out = self.runs / config.name
        if (found := kept(out, config)) is not None:
            return found
        cache = self.runs / "cache"
        return train_on(config, crops, out=out, cache=cache, command=command(), resume=True)

    def without(self, fold: Path, crops: Crops) -> Path:
        """The default model's like, of parts that never saw these families."""
        config = self._of_fold(DEFAULT, fold)
        members = [self.trained(fold), self.head_without(fold, crops)]
        return self._fused(config, members, self.trained(EXPERT), crops)

    def _fused(
        self, config: TrainConfig, members: Sequence[Path], expert: Path | None, crops: Crops
    ) -> Path:
        """Parts put together as the default model's are, without a decision."""
        out = self.runs / config.name
        if (found := kept(out, config)) is not None:
            return found
        parts = [Member(*load_checkpoint(path), share=share)
                 for path, share in zip(members, SHARES, strict=True)]  # fmt: skip
        if expert is not None:
            parts.append(Member(*load_checkpoint(expert), margin=MARGIN, slope=SLOPE))
        return fuse_on(config, parts, crops, out=out, command=command(), decide=False)

    def _of_fold(self, part: Path, fold: Path) -> TrainConfig:
        """A part of the default model, on the families of a fold."""
        config, trained = load_config(part), load_config(fold)
        families = {name: weight for name, weight in config.data.families.items()
                    if name in trained.data.families}  # fmt: skip
        data = config.data.model_copy(update={"families": families})
        options = dict(config.model_options)
        if "kinds" in options:  # a score for each family
            options["kinds"] = len(families)
        return config.model_copy(
            update={
                "model_options": options,
                "name": f"{trained.name}-{part.stem}",
                "licence": trained.licence,
                "backbone_weights": self.backbone_weights,
                "data": data,
            }
        )
