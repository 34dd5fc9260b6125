"""A model for the command, small and untrained: the tests look at everything but its scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unmask.inference.calibration import fit_decision
from unmask.models.airl import AIRLConfig
from unmask.models.checkpoint import Card, save_checkpoint
from unmask.models.registry import model_spec

ARCHITECTURE = "airl_small_frequency"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights and card of an untrained network with thresholds fitted on noise."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    spec = model_spec(ARCHITECTURE)
    config = AIRLConfig(rgb=None, frequency_channels=(8, 8, 16), fused=16, projection=8)
    decision = fit_decision(
        rng.normal(-1, 1, 200),
        rng.normal(1, 1, 200),
        rng.normal(0, 3, (200, 14)),
        measured_on="noise",
        domain="noise",
    )
    card = Card(
        name="untrained",
        architecture=ARCHITECTURE,
        config=config.model_dump(),
        input=spec.input,
        decision=decision,
    )
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    save_checkpoint(path, spec.create(config=config), card)
    return path
