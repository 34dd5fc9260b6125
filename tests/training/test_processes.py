"""Runs that are killed or shared among processes, launched as the command."""

from __future__ import annotations

import csv
import functools
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from unmask.errors import ConfigError
from unmask.training import run
from unmask.training.launch import run_processes

RECIPE: dict[str, Any] = {
    "name": "whole",
    "model": "airl_small_frequency",
    "model_options": {
        "frequency_channels": [8, 8],
        "fused": 8,
        "projection": 8,
        "dropout": 0,  # processes have masks of their own
    },
    "data": {"window": 64, "workers": 0, "families": {"blurrer": 1}, "forged": False},
    "optim": {
        "epochs": 2,
        "batch_size": 8,
        "accumulate": 2,
        "optimizer": "sam",
        "ema": 0.5,
        "learning_rate": 1e-3,
    },
}
SCRIPT = '''
"""The command, but for what takes long; RANK_TO_KILL dies inside the second epoch."""
import functools, os, signal
from unmask.training import run
from unmask.training.module import DetectorModule

def die(module, batch, index):
    mine = os.environ.get("RANK", "0") == os.environ.get("RANK_TO_KILL")
    if mine and module.current_epoch == 1 and index == 1:
        os.kill(os.getpid(), signal.SIGKILL)

DetectorModule.on_train_batch_start = die
run.train_on = functools.partial(run.train_on, decide=False)

if __name__ == "__main__":
    from unmask.apps.cli import main
    main()
'''


@pytest.fixture(scope="module")
def recipe(runs: Path) -> Path:
    path = runs / "whole.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in SCRIPT, in this process."""
    monkeypatch.setattr(run, "train_on", functools.partial(run.train_on, decide=False))


@pytest.fixture(scope="module")
def whole(recipe: Path, runs: Path, index: Path) -> Path:
    """Weights of one process, uninterrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "train_on", functools.partial(run.train_on, decide=False))
        return run.train(recipe, out=runs / "whole", index=index)


def command(script: Path, *words: object, kill: int | None = None) -> Any:
    """Run the command; a hang fails."""
    script.write_text(SCRIPT)
    environment = dict(os.environ)
    if kill is not None:
        environment["RANK_TO_KILL"] = str(kill)
    return subprocess.run(
        [sys.executable, str(script), "train", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


def curve(out: Path, name: str) -> list[float]:
    """What was logged under a name, over all resumptions."""
    values = {}
    for path in sorted(out.glob("logs/*/metrics.csv")):
        with path.open() as file:
            values |= {row["epoch"]: float(row[name]) for row in csv.DictReader(file) if row[name]}
    return [values[epoch] for epoch in sorted(values)]


def test_after_sigkill_inside_an_epoch_the_weights_are_the_same(
    recipe: Path, whole: Path, runs: Path, index: Path, tmp_path: Path, quick: None
) -> None:
    out = runs / "killed"
    words = (recipe, "--index", index, "--out", out)
    killed = command(tmp_path / "command.py", *words, kill=0)
    assert killed.returncode == -9, killed.stderr
    assert not (out / "whole.safetensors").exists()
    resumed = load_file(run.train(recipe, out=out, index=index, resume=True))
    before = load_file(whole)
    assert resumed.keys() == before.keys()
    for name, tensor in before.items():
        assert torch.equal(resumed[name], tensor), name


@pytest.mark.timeout(900)  # seven processes that import PyTorch; a busy machine takes minutes
def test_two_processes_train_as_one(
    recipe: Path, whole: Path, runs: Path, index: Path, tmp_path: Path
) -> None:
    out = runs / "shared"
    words = (recipe, "--index", index, "--out", out, "--devices", 2)
    broken = command(tmp_path / "command.py", *words, kill=1)
    assert broken.returncode == 2, broken.stderr
    assert "Process 2 of 2 failed (killed by signal 9)" in broken.stderr
    assert "--resume" in broken.stderr
    done = command(tmp_path / "command.py", *words, "--resume")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out / "whole.safetensors")
    assert done.stderr.count("wrote ") == 1
    one = whole.parent
    for name in ("train/loss", "train/cross_entropy", "train/contrastive", "val/auc"):
        values = curve(one, name)
        assert len(values) == 2
        assert curve(out, name) == pytest.approx(values, rel=1e-4), name
    mine, theirs = load_file(out / "whole.safetensors"), load_file(whole)
    for name, tensor in theirs.items():
        torch.testing.assert_close(mine[name], tensor, rtol=2e-3, atol=1e-4)  # stored in 16 bits
    files = {path.name for path in out.iterdir()}
    assert files == {path.name for path in one.iterdir()}


def test_a_failing_process_ends_the_others_with_a_message(tmp_path: Path) -> None:
    script = tmp_path / "task.py"
    script.write_text(
        "import os, sys, time\nif os.environ['RANK'] == '1':\n    sys.exit(3)\ntime.sleep(100)\n"
    )
    with pytest.raises(ConfigError, match=r"Process 2 of 2 failed \(exit code 3\)"):
        run_processes(runpy.run_path, {"path_name": str(script)}, 2)
