"""Both sides of the adversarial game against cross-entropy, their formulas and differences."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from unmask.errors import ShapeError
from unmask.losses import adversarial_discriminator, adversarial_generator


def test_the_discriminators_side_is_cross_entropy_of_both() -> None:
    torch.manual_seed(0)
    pictures, generated = torch.randn(5) * 3, torch.randn(7) * 3
    expected = F.binary_cross_entropy_with_logits(
        pictures, torch.ones(5)
    ) + F.binary_cross_entropy_with_logits(generated, torch.zeros(7))
    torch.testing.assert_close(adversarial_discriminator(pictures, generated), expected)
    by_hand = -sum(math.log(1 / (1 + math.exp(-v))) for v in pictures.tolist()) / 5
    by_hand -= sum(math.log(1 - 1 / (1 + math.exp(-v))) for v in generated.tolist()) / 7
    assert float(expected) == pytest.approx(by_hand, rel=1e-5)


def test_the_generators_side_does_not_saturate() -> None:
    logit = torch.tensor([-20.0], requires_grad=True)  # the discriminator is sure
    loss = adversarial_generator(logit)
    assert float(loss.detach()) == pytest.approx(20.0, rel=1e-6)
    loss.backward()
    assert logit.grad is not None
    assert float(logit.grad) == pytest.approx(-1.0, rel=1e-6)
    done = torch.tensor([20.0], requires_grad=True)
    adversarial_generator(done).backward()
    assert done.grad is not None
    assert abs(float(done.grad)) < 1e-8


def test_the_gradients_against_finite_differences() -> None:
    torch.manual_seed(1)
    one, two = (torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(adversarial_discriminator, (one, two))
    assert torch.autograd.gradcheck(adversarial_generator, (one,))


def test_half_precision_is_raised_and_other_shapes_are_refused() -> None:
    assert adversarial_generator(torch.zeros(2).bfloat16()).dtype == torch.float32
    with pytest.raises(ShapeError, match=r"generated.*\(2, 1\)"):
        adversarial_generator(torch.zeros(2, 1))
    with pytest.raises(ShapeError, match="pictures"):
        adversarial_discriminator(torch.zeros(0), torch.zeros(2))
