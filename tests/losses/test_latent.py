"""The activation loss by hand and against finite differences."""

from __future__ import annotations

import pytest
import torch

from unmask.errors import ShapeError
from unmask.losses import latent_activation


@pytest.mark.parametrize(
    ("a_true", "a_fake", "label", "expected"),
    [
        (1.0, 0.0, 0, 0.0),  # a real whose own half is on
        (0.0, 1.0, 1, 0.0),
        (0.0, 1.0, 0, 2.0),
        (1.0, 0.0, 1, 2.0),
        (0.3, 0.9, 0, 1.6),
        (0.3, 0.9, 1, 0.4),
        (2.5, 0.25, 0, 1.75),  # too much of the right half is too much
    ],
)
def test_one_picture_by_hand(a_true: float, a_fake: float, label: int, expected: float) -> None:
    got = latent_activation(torch.tensor([[a_true, a_fake]]), torch.tensor([label]))
    assert float(got) == pytest.approx(expected)


def test_a_batch_is_the_mean_of_its_pictures() -> None:
    activations, labels = torch.rand(5, 2), torch.tensor([0, 1, 1, 0, 1])
    each = [latent_activation(activations[i : i + 1], labels[i : i + 1]) for i in range(5)]
    torch.testing.assert_close(latent_activation(activations, labels), torch.stack(each).mean())


def test_the_gradient_against_finite_differences() -> None:
    torch.manual_seed(0)
    activations = torch.rand(6, 2, dtype=torch.float64) * 0.8 + 0.1
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    activations.requires_grad_()
    assert torch.autograd.gradcheck(lambda a: latent_activation(a, labels), activations)


def test_half_precision_is_raised_and_bool_labels_are_labels() -> None:
    activations = torch.tensor([[0.5, 0.25]], dtype=torch.bfloat16)
    got = latent_activation(activations, torch.tensor([True]))
    assert got.dtype == torch.float32
    assert float(got) == 1.25


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(N, 2\).*\(3, 3\)"):
        latent_activation(torch.rand(3, 3), torch.zeros(3))
    with pytest.raises(ShapeError, match=r"labels \(3,\)"):
        latent_activation(torch.rand(3, 2), torch.zeros(2))
    with pytest.raises(ShapeError, match="N >= 1"):
        latent_activation(torch.rand(0, 2), torch.zeros(0))
