"""Memory that is kept changes the speed and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

STEP = """
import torch
from torch import nn
{setting}
torch.use_deterministic_algorithms(True)
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 1, 3))
loss = net(torch.rand(4, 3, 16, 16)).square().mean()
loss.backward()
print(loss.item().hex(), *(p.grad.double().sum().item().hex() for p in net.parameters()))
print(torch.utils.deterministic.fill_uninitialized_memory)
"""
KEEP = "from unmask.training.speed import keep_memory; keep_memory()"


def outcome(setting: str) -> list[str]:
    command = [sys.executable, "-c", STEP.format(setting=setting)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_step_has_the_same_bits_when_new_tensors_are_not_filled() -> None:
    (plain, filled), (kept, left) = outcome(""), outcome(KEEP)
    assert kept == plain
    assert (filled, left) == ("True", "False")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.training import speed

    monkeypatch.setattr(speed.sys, "platform", "darwin")
    assert speed.keep_memory() is False
