"""What making training pairs costs: share of the processor's time, and of a GPU's rate."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from record import Record, arguments, spread
from torch import nn

from unmask.data.crops import prepare_crops
from unmask.data.dataset import PairSettings, TrainingPairs
from unmask.data.items import read_items
from unmask.models.registry import model_spec
from unmask.training.batches import loaders
from unmask.training.config import TrainConfig
from unmask.training.module import DetectorModule
from unmask.training.network import build, sized
from unmask.training.share import Share

GOAL_SHARE, GOAL_RATE = 0.25, 0.95
WARM_UP = 2


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("index", type=Path, help="index of face pictures or crops")
    parser.add_argument("--model", default="airl_b4")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument(
        "--batch", type=int, default=32, help="pictures per step, half of them real"
    )
    parser.add_argument("--steps", type=int, default=10, help="measured steps")
    parser.add_argument("--workers", type=int, default=8, help="loader processes, with a GPU")
    parser.add_argument("--items", type=int, default=2000, help="of the index, at most")
    parser.add_argument("--fakes", action="append", help="generators of the index [forged blends]")
    given = parser.parse_args()
    record = Record(seed=0)
    config = TrainConfig.model_validate(
        {
            "name": "loader",
            "model": given.model,
            "pretrained": False,
            "data": {
                "side": given.side,
                "families": dict.fromkeys(given.fakes or ["self_blend"], 1),
                "forged": not given.fakes,
            },
            "optim": {"batch_size": given.batch},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        pairs = training_pairs(given, config, Path(folder))
        measured = on_gpu if torch.cuda.is_available() else on_processor
        results = measured(pairs, config, given)
    record.write(
        given.out,
        {
            "what": "one training step (loading, forward, backward, Adam) on training pairs of an "
            "index; crops are read from memory-mapped files",
            "index": given.index.name,
            "model": given.model,
            "side": given.side,
            "batch": given.batch,
            "steps": given.steps,
            **results,
        },
    )


def training_pairs(given: argparse.Namespace, config: TrainConfig, cache: Path) -> TrainingPairs:
    """Pairs of the index's training items, often enough for all steps."""
    items = [item for item in read_items(given.index) if item.split == "train"]
    every = max(1, len(items) // given.items)
    crops = prepare_crops(items[::every], cache)
    settings = PairSettings(
        families=config.data.families, forged=config.data.forged, ramp_epochs=0
    )  # fmt: skip
    spec = sized(model_spec(config.model), config)
    pairs = TrainingPairs(crops, spec.input, settings, seed=0)
    wanted = (given.steps + WARM_UP) * given.batch // 2
    pairs.reals = pairs.reals * -(-wanted // len(pairs.reals))
    return pairs


class Step:
    """A training step as `unmask train` takes it, without its trainer."""

    def __init__(self, pairs: TrainingPairs, config: TrainConfig, device: str) -> None:
        spec = sized(model_spec(config.model), config)
        model: nn.Module = build(spec, config, False).to(device)
        self.module = DetectorModule(model, pairs.spec, config.optim, _none, _none, {}, [])
        self.module.log = _none  # type: ignore[method-assign]
        self.module._first_pass = lambda: True  # type: ignore[method-assign]  # no trainer asks
        self.optimiser = torch.optim.Adam(model.parameters(), 1e-4)
        self.device = device

    def __call__(self, batch: dict[str, torch.Tensor]) -> None:
        moved = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            loss = self.module.training_step(moved, 0)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def _none(*_: Any, **__: Any) -> None:
    return None


def on_processor(
    pairs: TrainingPairs, config: TrainConfig, given: argparse.Namespace
) -> dict[str, Any]:
    """Processor seconds of loading and of the step, taken in turn in one process.

    Processor time and not the clock's, so that other work on the machine counts in neither.
    """
    step, batches = Step(pairs, config, "cpu"), _endless(pairs, config, 0)
    loading, stepping = [], []
    for number in range(-WARM_UP, given.steps):
        begun = _processor_seconds()
        batch = next(batches)
        loaded = _processor_seconds()
        step(batch)
        if number >= 0:
            loading.append(loaded - begun)
            stepping.append(_processor_seconds() - loaded)
    share = sum(loading) / (sum(loading) + sum(stepping))
    return {
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "loading_processor_seconds": spread(loading),
        "step_processor_seconds": spread(stepping),
        "share_of_loading": share,
        "goal": {"share_of_loading": GOAL_SHARE},
        "goal_met": share < GOAL_SHARE,
    }


def on_gpu(pairs: TrainingPairs, config: TrainConfig, given: argparse.Namespace) -> dict[str, Any]:
    """Pictures per second with the loader, and with one batch held on the device."""
    step, batches = Step(pairs, config, "cuda"), _endless(pairs, config, given.workers)
    held = {name: value.cuda() for name, value in next(batches).items()}
    rates = {
        "loaded": _rate(step, batches, given),
        "held": _rate(step, iter(lambda: held, None), given),
    }
    ratio = rates["loaded"] / rates["held"]
    return {
        "device": torch.cuda.get_device_name(),
        "workers": given.workers,
        "precision": "bf16-mixed",
        "pictures_per_second": rates,
        "ratio": ratio,
        "goal": {"ratio": GOAL_RATE},
        "goal_met": ratio >= GOAL_RATE,
    }


def _rate(step: Step, batches: Iterator[dict[str, torch.Tensor]], given: Any) -> float:
    for _ in range(WARM_UP):
        step(next(batches))
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(given.steps):
        step(next(batches))
    torch.cuda.synchronize()
    return float(given.steps * given.batch / (time.perf_counter() - started))


def _endless(
    pairs: TrainingPairs, config: TrainConfig, workers: int
) -> Iterator[dict[str, torch.Tensor]]:
    make, epoch = loaders(pairs, config, workers, Share()), 0
    while True:
        yield from make(epoch)
        epoch += 1


def _processor_seconds() -> float:
    """Of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
