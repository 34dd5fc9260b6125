"""How far a run in several processes, and one that was killed and resumed, is from a plain one."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from record import Record, arguments
from safetensors.torch import load_file

GOAL_RELATIVE = 1e-4
COMMAND = [sys.executable, "-m", "unmask", "train"]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("index", type=Path, help="index of face pictures or crops")
    parser.add_argument("--model", default="airl_small_frequency")
    parser.add_argument("--family", default="self_blend", help="what the fakes are")
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16, help="pictures per step")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--model-options", default="{dropout: 0}", help="YAML; see unmask models")
    given = parser.parse_args()
    record = Record(seed=0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = root / "scale.yaml"
        config.write_text(yaml.safe_dump(recipe(given)))
        shown = [config, "--index", given.index.resolve(), "--no-pretrained"]
        words = list(map(str, shown))
        seconds = {
            "one": train(words, root / "one"),
            "several": train([*words, "--devices", str(given.devices)], root / "several"),
        }
        killed_after = train_killed(words, root / "killed")
        train([*words, "--resume"], root / "killed")
        results = {
            "seconds": seconds,
            "several_against_one": compared(root / "several", root / "one"),
            "resumed_against_one": {
                "killed_after_epochs": killed_after,
                **compared(root / "killed", root / "one"),
            },
        }
    several = results["several_against_one"]["largest_relative_difference"]["train/loss"]
    resumed = results["resumed_against_one"]["largest_weight_difference"]
    record.write(
        given.out,
        {
            "what": "runs of one configuration: in one process, in several that share each batch, "
            "and killed (SIGKILL) inside an epoch and resumed",
            "configuration": recipe(given),
            "devices": given.devices,
            "processor": not torch.cuda.is_available(),
            **results,
            "goal": {"train/loss": GOAL_RELATIVE, "resumed weights": 0.0},
            "goal_met": several <= GOAL_RELATIVE and resumed == 0.0,
        },
    )


def recipe(given: Any) -> dict[str, Any]:
    """Without dropout, whose masks are each process's own."""
    return {
        "name": "scale",
        "model": given.model,
        "model_options": yaml.safe_load(given.model_options),
        "data": {"side": given.side, "families": {given.family: 1}},
        "optim": {
            "epochs": given.epochs,
            "batch_size": given.batch,
            "optimizer": given.optimizer,
            "learning_rate": 1e-3,
        },
    }


def train(words: list[str], out: Path) -> float:
    """Run the command to its end; seconds it took."""
    started = time.perf_counter()
    subprocess.run([*COMMAND, *words, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - started, 1)


def train_killed(words: list[str], out: Path) -> int:
    """Kill the run as soon as an epoch is kept, inside the next; how many epochs it had done."""
    process = subprocess.Popen([*COMMAND, *words, "--out", str(out)], stdout=subprocess.DEVNULL)
    while not (out / "last.ckpt").is_file():
        if process.poll() is not None:
            raise SystemExit(f"the run ended before it could be killed: {process.returncode}")
        time.sleep(0.02)
    time.sleep(0.2)  # into the next epoch, or its validation
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return int(torch.load(out / "last.ckpt", weights_only=False)["epoch"]) + 1


def curve(out: Path, name: str) -> np.ndarray:
    """What was logged under a name, by epoch, over all resumptions."""
    values: dict[int, float] = {}
    logs = out.glob("logs/version_*/metrics.csv")
    for path in sorted(logs, key=lambda path: int(path.parent.name.removeprefix("version_"))):
        with path.open() as file:
            rows = [row for row in csv.DictReader(file) if row.get(name)]
        values |= {int(row["epoch"]): float(row[name]) for row in rows}
    return np.array([values[epoch] for epoch in sorted(values)])


def compared(run: Path, reference: Path) -> dict[str, Any]:
    """Largest differences of the logged curves and of the stored weights (16-bit)."""
    curves = {}
    for name in ("train/loss", "train/cross_entropy", "train/contrastive", "val/auc"):
        mine, theirs = curve(run, name), curve(reference, name)
        if len(mine) != len(theirs):
            raise SystemExit(
                f"{run.name} logged {len(mine)} epochs, {reference.name} {len(theirs)}"
            )
        curves[name] = float(np.max(np.abs(mine - theirs) / np.maximum(np.abs(theirs), 1e-12)))
    mine, theirs = (load_file(out / "scale.safetensors") for out in (run, reference))
    largest = max(float((mine[name].float() - theirs[name].float()).abs().max()) for name in theirs)
    return {"largest_relative_difference": curves, "largest_weight_difference": largest}


if __name__ == "__main__":
    main()
