"""Scores of a store are those of a loop over its pictures; what is not finite is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from unmask.errors import ShapeError
from unmask.evaluation.scoring import score
from unmask.evaluation.views import Batch, ViewStore
from unmask.models.output import ModelOutput
from unmask.transforms.preprocess import InputSpec, Views, to_tensors

SPEC = InputSpec(native_size=32, rgb_size=48, mean=(0.4, 0.5, 0.6))
COUNT = 7
BATCH = Batch("clean", np.arange(COUNT))


class Pictures(ViewStore):
    """Noise, as if it had been made."""

    def one(self, place: int) -> Views:
        rng = np.random.default_rng(place)
        sides = {"native": 32, "rgb": 48}
        return Views({n: rng.integers(0, 256, (s, s, 3), np.uint8) for n, s in sides.items()})

    def views(self, batch, spec, size, only=None):  # type: ignore[no-untyped-def]
        places = range(len(batch.items)) if only is None else only
        made = [self.one(int(place)) for place in places]
        yield from (made[i : i + size] for i in range(0, len(made), size))


class Tiny(nn.Module):
    """A logit of both inputs, and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rgb, self.native = nn.Linear(3, 4), nn.Linear(3, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, rgb: torch.Tensor, native: torch.Tensor) -> ModelOutput:
        x = self.rgb(rgb.mean((2, 3))) + self.native(native.mean((2, 3)) / 255)
        return ModelOutput(logit=self.head(x)[:, 0], embedding=nn.functional.normalize(x))


@pytest.fixture
def pictures() -> Pictures:
    return Pictures(Path("nowhere"), (BATCH,), np.arange(COUNT))


@pytest.mark.parametrize("size", [1, 3, 64])
def test_scores_are_those_of_one_picture_after_another(pictures: Pictures, size: int) -> None:
    model = Tiny().eval()
    done = score(model, SPEC, pictures, BATCH, size=size, keep_embeddings=True)
    assert done.embeddings is not None
    assert (done.logits.shape, done.embeddings.shape) == ((COUNT,), (COUNT, 4))
    for place in range(COUNT):
        given = to_tensors([pictures.one(place)], SPEC)
        with torch.inference_mode():
            expected = model(given["rgb"], given["native"])
        assert done.logits[place] == pytest.approx(float(expected.logit[0]), abs=1e-6)
        np.testing.assert_allclose(done.embeddings[place], expected.embedding[0], atol=1e-6)


def test_embeddings_are_kept_on_request_alone(pictures: Pictures) -> None:
    done = score(Tiny().eval(), SPEC, pictures, BATCH)
    assert done.embeddings is None
    assert done.batch is BATCH


def test_bfloat16_moves_scores_slightly(pictures: Pictures) -> None:
    model = Tiny().eval()
    exact = score(model, SPEC, pictures, BATCH).logits
    fast = score(model, SPEC, pictures, BATCH, precision=torch.bfloat16).logits
    np.testing.assert_allclose(fast, exact, atol=0.05)
    assert (fast != exact).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_network_that_diverged_is_refused(pictures: Pictures, bad: float) -> None:
    model = Tiny().eval()
    assert model.head.bias is not None
    nn.init.constant_(model.head.bias, bad)
    with pytest.raises(ShapeError, match="7 of 7 logits under clean are not finite"):
        score(model, SPEC, pictures, BATCH)
