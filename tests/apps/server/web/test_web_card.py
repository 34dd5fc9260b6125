"""The model card's view: numbers as they stand, and nothing where the card is silent."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from unmask.apps.server.model import read_model_card
from unmask.apps.server.web.card import card_view
from unmask.errors import CheckpointError
from unmask.metrics.calibration import sigmoid


def test_a_bare_card_makes_nothing_up() -> None:
    view = card_view({"name": "bare"})
    assert view.name == "bare"
    assert (view.decision, view.ranking, view.reals, view.items) == ([], [], [], [])
    assert (view.curve, view.calibration, view.split, view.command) == (None, None, "", None)


def test_the_curve_is_the_calibration_of_results() -> None:
    card = read_model_card("unmask-default")
    view = card_view(card)
    assert view.curve is not None
    decision = card["decision"]
    middle = next(point for point in view.curve.points if point[0] == 0.5)
    assert middle[1] == pytest.approx(float(sigmoid(decision["bias"])))
    lowest = decision["slope"] * math.log(0.001 / 0.999) + decision["bias"]  # a score of 0.001
    assert view.curve.points[0][1] == pytest.approx(float(sigmoid(lowest)))
    assert view.curve.flag == view.curve.x.at(decision["flag"])


def test_the_test_split_is_shown_where_there_is_one() -> None:
    card = read_model_card("unmask-default")
    view, split = card_view(card), card["metrics"]["splits"]["test"]
    assert view.split == "test"
    row = next(row for row in view.ranking if row[0] == "stylegan")
    for place, entry in ((1, split["in_family"]), (3, split["left_out_family"])):
        low, high = entry["stylegan"]["ci95"]
        assert row[place] == f"{entry['stylegan']['auc']:.3f} ({low:.3f}–{high:.3f})"
    assert row[5] == f"{split['in_family']['stylegan']['reals']} / 632"


def test_the_card_beside_weights_is_read(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps({"name": "own"}))
    assert read_model_card(str(tmp_path / "own.safetensors")) == {"name": "own"}


@pytest.mark.parametrize("model", ["no-such-model", "../unmask-none", "gone.safetensors"])
def test_a_missing_card_says_so(model: str) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_model_card(model)
