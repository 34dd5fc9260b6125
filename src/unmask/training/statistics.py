"""Networks whose front end has nothing to learn: its output is computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from unmask.data.atomic import one_at_a_time
from unmask.data.crops import Crops
from unmask.data.dataset import PairSettings, TrainingPairs
from unmask.data.pairing import is_of
from unmask.data.scoring import ScoringSet
from unmask.models.crew import Crew
from unmask.models.statistics import Source, StatisticsNet
from unmask.training.config import DataConfig
from unmask.training.module import Scores, evaluating
from unmask.transforms.laundering import LaunderingPolicy
from unmask.transforms.preprocess import InputSpec, to_tensors

PART = 4
"""Pictures that a core measures at a time: their maps stay in its cache."""
TOGETHER = 16
"""Pictures whose statistics are kept in one file."""
VERSION = 1
"""Raise when synthesis, laundering or the statistics change: what is kept is then made anew."""


class StatisticsPairs(Dataset[dict[str, Tensor]]):
    """Statistics of real/fake pairs of several families, (2, D) float32 per item.

    Args:
        pairs: of every draw the parts that the statistics are joined from, (n, 2, d) each.
    """

    def __init__(self, pairs: Sequence[Sequence[NDArray[np.float16]]]) -> None:
        self.pairs = pairs
        self.ends = np.cumsum([len(parts[0]) for parts in pairs])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        which = int(np.searchsorted(self.ends, index, side="right"))
        row = index - (int(self.ends[which - 1]) if which else 0)
        values = np.concatenate([part[row] for part in self.pairs[which]], axis=1, dtype=np.float32)
        return {"statistics": torch.from_numpy(values), "label": torch.tensor([0, 1])}

    def moments(self, every: int = 7) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each statistic, over every `every`-th pair: (D,) each."""
        rows = np.concatenate(
            [
                np.concatenate([part[::every] for part in parts], axis=2, dtype=np.float32)
                for parts in self.pairs
            ]
        )
        flat = torch.from_numpy(rows.reshape(-1, rows.shape[-1]))
        return flat.mean(0), flat.std(0)


def training_statistics(
    model: StatisticsNet,
    crops: Crops,
    spec: InputSpec,
    config: DataConfig,
    *,
    seed: int,
    cache: Path,
    say: Callable[[str], None],
) -> StatisticsPairs:
    """Draw the training pairs of every family `config.draws` times and take their statistics.

    Each family's draws are one file, whose name hashes all they depend on, so that runs that leave
    one family out share the others. Families weigh by how many of their draws are used.
    """
    pairs = []
    top = max(config.families.values())
    for family, weight in config.families.items():
        for draw in range(max(1, round(config.draws * weight / top))):
            parts = []
            for source in model.sources():
                key = _key(source, crops, spec, config, family, draw, seed)
                path = cache / f"statistics-{key}.npy"
                if not path.is_file():  # several runs may want the same
                    with one_at_a_time(path):
                        if not path.is_file():
                            say(f"statistics of {family}, draw {draw + 1}")
                            _write(path, source, crops, spec, config, family, draw, seed)
                parts.append(np.load(path, mmap_mode="r")[..., : source.first])
            pairs.append(parts)
    return StatisticsPairs(pairs)


def pair_settings(config: DataConfig) -> PairSettings:
    """How training pairs are made, as a configuration has it."""
    return PairSettings(
        families=config.families,
        beside=config.beside,
        soften_real_p=config.soften_real_p,
        equalise_p=config.equalise_p,
        laundering=LaunderingPolicy(damage_p=config.damage_p, codec_p=config.codec_p),
        ramp_epochs=config.ramp_epochs,
        forged=config.forged,
        random_grid=config.random_grid,
        own=config.own,
    )


def _key(
    source: Source,
    crops: Crops,
    spec: InputSpec,
    config: DataConfig,
    family: str,
    draw: int,
    seed: int,
) -> str:
    parts = {
        "version": VERSION,
        "statistics": dict(source.measured),
        "input": spec.model_dump(),
        "crops": crops.digest(_drawn_from(crops, family)),
        "soften": config.soften_real_p,
        "beside": config.beside.get(family),
        "draw": [family, draw, seed],
    }
    if not (config.forged and config.random_grid):  # otherwise the key that it had before
        parts["pairs"] = [config.forged, config.random_grid]
    if config.own:
        parts["own"] = True
    if config.equalise_p:
        parts["equalise"] = config.equalise_p
    if config.damage_p:
        parts["damage"] = config.damage_p
    if config.codec_p:
        parts["codec"] = config.codec_p
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _drawn_from(crops: Crops, family: str) -> list[int]:
    """The training reals, and the fakes of a family: all that its draws can hold."""
    return crops.where(
        lambda item: item.split == "train" and (not item.label or is_of(item.generator, family))
    )


def _write(
    path: Path,
    source: Source,
    crops: Crops,
    spec: InputSpec,
    config: DataConfig,
    family: str,
    draw: int,
    seed: int,
) -> None:
    settings = replace(pair_settings(config), families={family: 1.0}, ramp_epochs=0)
    pairs = TrainingPairs(crops, spec, settings, seed=seed)
    pairs.set_epoch(draw)
    loader = DataLoader(pairs, batch_size=16, num_workers=config.workers)
    blocks, crew = [], Crew("cpu")
    for batch in loader:
        native = batch["native"].flatten(0, 1).permute(0, 3, 1, 2).float()
        values = measured(source, native, crew).view(len(batch["label"]), 2, -1)
        blocks.append(values.numpy().astype(np.float16))
    _save(path, np.concatenate(blocks))


def measured(source: Source, native: Tensor, crew: Crew) -> Tensor:
    """(N, 3, n, n) RGB in [0, 255] -> (N, d), a few pictures per core at a time."""

    def part(pictures: Tensor) -> Tensor:
        with torch.inference_mode():  # each thread's own
            return source.measure(pictures)

    native = native.contiguous(memory_format=torch.channels_last)
    return torch.cat(crew.map(part, torch.split(native, PART)))


def _save(path: Path, values: NDArray[Any]) -> None:
    part = path.with_suffix(f".{os.getpid()}.npy")  # others may be at the same file
    np.save(part, values)
    part.replace(path)


class Remembered(nn.Module):
    """A network's statistics, read from disk where the same pixels were measured before.

    Runs that differ in their heads alone score the same pictures; this is what they share.

    Args:
        model: whose statistics; on the processor.
        folder: where they are kept; may be deleted.

    Shape:
        (N, 3, n, n) RGB in [0, 255] -> (N, D) float32, on the processor.
    """

    def __init__(self, model: StatisticsNet, folder: Path) -> None:
        super().__init__()
        self.sources, self.folder, self.crew = model.sources(), folder, Crew("cpu")

    def forward(self, native: Tensor) -> Tensor:
        pixels = native.contiguous().cpu().numpy().tobytes()
        return torch.cat([self._measured(source, native, pixels) for source in self.sources], dim=1)

    @torch.inference_mode()
    def of(self, item: ScoringSet, spec: InputSpec) -> Tensor:
        """Of all pictures of a set, (N, D), in batches that are the same for every run."""
        return torch.cat(
            [
                self(to_tensors(item.views[i : i + TOGETHER], spec)["native"])
                for i in range(0, len(item.views), TOGETHER)
            ]
        )

    def _measured(self, source: Source, native: Tensor, pixels: bytes) -> Tensor:
        key = json.dumps([VERSION, dict(source.measured)], sort_keys=True).encode()
        path = self.folder / f"measured-{hashlib.sha256(key + pixels).hexdigest()[:32]}.npy"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            _save(path, measured(source, native.cpu(), self.crew).numpy())
        return torch.from_numpy(np.load(path)[:, : source.first])


def fixed_scorer(
    model: StatisticsNet, sets: Sequence[ScoringSet], spec: InputSpec, cache: Path
) -> Callable[[torch.nn.Module], Scores]:
    """Like `score_sets`, with the statistics of the validation sets computed once, here."""
    statistics = Remembered(model, cache)
    kept = {item.name: statistics.of(item, spec) for item in sets}

    def score(current: torch.nn.Module) -> Scores:
        assert isinstance(current, StatisticsNet)
        with evaluating(current), torch.inference_mode():
            return {
                item.name: (current.head(kept[item.name]).logit.double().numpy(), item)
                for item in sets
            }

    return score
