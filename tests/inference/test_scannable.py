"""Every kind of network, saved and loaded again, scans with evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unmask.inference.detector import Detector
from unmask.models.checkpoint import Card, load_checkpoint, save_checkpoint
from unmask.models.registry import MODELS

LIGHT: dict[str, int | None] = {
    "meso4": None,
    "mesoinception4": None,
    "residual": None,
    "rich_linear": None,
    "probe_rich": None,
    "trace": None,
    "airl_b0": 96,
    "xception": 107,
    "f3net": 107,
    "f3net_lfs": 107,
    "srm": 107,
    "efficientnet_b4": 96,
    "lae": 96,
    "ensemble": None,
}
"""Network -> side of its RGB input here; None leaves it as declared."""


@pytest.mark.parametrize("name", LIGHT)
def test_a_saved_network_scans_with_evidence(name: str, parts: Any, tmp_path: Path) -> None:
    torch.manual_seed(4)
    spec, config, side = MODELS[name].input, MODELS[name].config, LIGHT[name]
    if side is not None:
        spec = spec.model_copy(update={"rgb_size": side})
        if "size" in type(config).model_fields:
            config = config.model_copy(update={"size": side})
    card = Card(
        name="random",
        architecture=name,
        config=config.model_dump(mode="json"),
        input=spec,
        decision=parts.decision(),
    )
    path = tmp_path / "random.safetensors"
    save_checkpoint(path, MODELS[name].create(config=config), card)
    detector = Detector(*load_checkpoint(path), face_detector=parts.finder())
    path.unlink()
    picture = parts.picture([90, 170])
    (examined,) = detector.examine([parts.still(picture)], evidence=True)
    assert examined.result.status == "scored"
    assert examined.result.score is not None
    assert 0.0 <= examined.result.score <= 1.0
    assert len(examined.evidence) == 2
    for evidence in examined.evidence:
        assert evidence.heatmap.shape == evidence.crop.image.shape[:2]
        assert evidence.heatmap.max() in (0.0, 1.0)
        assert np.isfinite(evidence.heatmap).all()
    (again,) = detector.examine([parts.still(picture)])
    assert again.result.score == examined.result.score


def test_all_that_is_new_is_scanned_here_or_differs_by_its_configuration_only() -> None:
    scanned = {MODELS[name].build for name in LIGHT}
    assert {spec.build for spec in MODELS.values()} == scanned
