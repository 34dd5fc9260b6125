"""What a run is fed with: pairs to train on, and validation sets to be scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from unmask.data.crops import Crops
from unmask.data.dataset import TrainingPairs
from unmask.data.scoring import DAILY, ScoringSet, scoring_sets
from unmask.models.registry import ModelSpec
from unmask.models.statistics import StatisticsNet
from unmask.training.config import TrainConfig
from unmask.training.module import Scores, score_sets
from unmask.training.network import as_stored, with_window
from unmask.training.statistics import fixed_scorer, pair_settings, training_statistics
from unmask.transforms.preprocess import InputSpec


def scored_sets(
    crops: Crops, spec: ModelSpec, config: TrainConfig, decide: bool
) -> list[ScoringSet]:
    """What of the validation split is scored after every epoch."""
    forged = config.data.forged
    sets = scoring_sets(
        crops,
        spec.input,
        "val",
        forged=decide and forged,
        controls=DAILY if decide else {},
        families=[] if forged else list(config.data.families),
    )
    if not decide:  # nothing but what it is chosen by
        sets = [one for one in sets if one.label == 0 or one.name in config.data.families]
    return sets


def feeds(
    model: nn.Module,
    crops: Crops,
    spec: ModelSpec,
    config: TrainConfig,
    cache: Path,
    sets: Sequence[ScoringSet],
    say: Callable[[str], None],
) -> tuple[Dataset[Any], Callable[[nn.Module], Scores], InputSpec]:
    """Training pairs, validation scorer, and the input contract with the training window."""
    window = with_window(spec.input, config.data.window)
    if isinstance(model, StatisticsNet):
        as_stored(model.statistics)
        statistics = training_statistics(
            model, crops, window, config.data, seed=config.seed, cache=cache, say=say
        )
        model.standardise_to(*statistics.moments())
        return statistics, fixed_scorer(model, sets, spec.input, cache), window
    pairs = TrainingPairs(
        crops,
        window,
        pair_settings(config.data),
        seed=config.seed,
        repeats=config.data.repeats,
        masks=config.optim.attention_weight > 0,
    )
    return pairs, lambda current: score_sets(current, sets, spec.input), window
