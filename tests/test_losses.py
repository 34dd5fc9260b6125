"""The contrastive loss against pytorch-metric-learning, a plain loop, and at its edges."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import CosFaceLoss, SupConLoss

from unmask.errors import ConfigError, ShapeError
from unmask.losses import am_softmax, supervised_contrastive


def batch(n: int, seed: int, fakes: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, generator=generator) < fakes).long()
    return torch.randn(n, 16, generator=generator, dtype=torch.float64).float(), labels


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("fakes", [0.5, 0.1, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_equals_pytorch_metric_learning(seed: int, fakes: float, temperature: float) -> None:
    embeddings, labels = batch(24, seed, fakes)
    mine, theirs = (embeddings.clone().requires_grad_() for _ in range(2))
    loss = supervised_contrastive(mine, labels, temperature=temperature)
    expected = SupConLoss(temperature=temperature)(theirs, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def by_hand(embeddings: torch.Tensor, labels: torch.Tensor, tau: float, anchors: set[int]) -> float:
    """The docstring's formula as loops, over anchors whose label is in `anchors`."""
    unit = torch.nn.functional.normalize(embeddings.double(), dim=1)
    losses = []
    for i, label in enumerate(labels.tolist()):
        others = [k for k in range(len(labels)) if k != i]
        positives = [k for k in others if labels[k] == label]
        if label not in anchors or not positives:
            continue
        total = sum(math.exp(float(unit[i] @ unit[k]) / tau) for k in others)
        logs = [math.log(math.exp(float(unit[i] @ unit[p]) / tau) / total) for p in positives]
        losses.append(-sum(logs) / len(logs))
    return sum(losses) / len(losses)


def test_equals_the_formula() -> None:
    embeddings, labels = batch(9, 3)
    got = supervised_contrastive(embeddings, labels, temperature=0.3)
    assert float(got) == pytest.approx(by_hand(embeddings, labels, 0.3, {0, 1}), rel=1e-5)


def test_fakes_only_has_no_real_anchors() -> None:
    embeddings, labels = batch(12, 5)
    got = supervised_contrastive(embeddings, labels, temperature=0.3, positives="fakes_only")
    assert float(got) == pytest.approx(by_hand(embeddings, labels, 0.3, {1}), rel=1e-5)
    assert float(got) != pytest.approx(by_hand(embeddings, labels, 0.3, {0, 1}), rel=1e-3)


def test_an_anchor_without_a_positive_is_skipped() -> None:
    embeddings, _ = batch(5, 1)
    labels = torch.tensor([0, 0, 0, 0, 1])
    got = supervised_contrastive(embeddings, labels, temperature=0.2)
    assert float(got) == pytest.approx(by_hand(embeddings, labels, 0.2, {0}), rel=1e-5)


@pytest.mark.parametrize(
    "labels", [[0, 1], [1], [], [0, 0]], ids=["no pair", "single", "empty", "one class, reals"]
)
def test_without_anchors_the_loss_and_its_gradient_are_zero(labels: list[int]) -> None:
    embeddings = torch.randn(len(labels), 8, requires_grad=True)
    loss = supervised_contrastive(embeddings, torch.tensor(labels), positives="fakes_only")
    loss.backward()
    assert loss.item() == 0.0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


def test_all_of_one_class() -> None:
    # identical embeddings: each of n - 1 others is equally likely
    same = torch.ones(6, 4)
    assert float(supervised_contrastive(same, torch.ones(6))) == pytest.approx(math.log(5))


def test_gradients_stay_finite() -> None:
    separated = torch.eye(4).repeat(2, 1) * 1e4
    separated[0] = 0.0
    for labels in ([0, 1, 0, 1, 0, 1, 0, 1], [0] * 7 + [1]):
        embeddings = separated.clone().requires_grad_()
        supervised_contrastive(embeddings, torch.tensor(labels), temperature=0.01).backward()
        assert embeddings.grad is not None
        assert torch.isfinite(embeddings.grad).all()


def test_scale_and_autocast_change_nothing() -> None:
    embeddings, labels = batch(16, 2)
    loss = supervised_contrastive(embeddings, labels)
    torch.testing.assert_close(supervised_contrastive(embeddings * 37, labels), loss)
    torch.testing.assert_close(supervised_contrastive(embeddings, labels.bool()), loss)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = supervised_contrastive(embeddings, labels)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, loss, rtol=0, atol=0)


def test_what_cannot_work_is_refused() -> None:
    embeddings, labels = batch(4, 0)
    with pytest.raises(ShapeError, match=r"\(4, 16\) and \(3,\)"):
        supervised_contrastive(embeddings, labels[:3])
    with pytest.raises(ConfigError, match="temperature must be > 0"):
        supervised_contrastive(embeddings, labels, temperature=0.0)
    with pytest.raises(ConfigError, match="'both'"):
        supervised_contrastive(embeddings, labels, positives="both")  # type: ignore[arg-type]


@pytest.mark.parametrize("margin", [0.0, 0.35])
def test_am_softmax_equals_the_two_class_loss_on_cosines(margin: float) -> None:
    features, labels = batch(24, seed=5)
    theirs = CosFaceLoss(num_classes=2, embedding_size=16, margin=margin, scale=30)
    mine, twin = (features.clone().requires_grad_() for _ in range(2))
    unit = torch.nn.functional.normalize(mine, dim=1)
    cosines = unit @ torch.nn.functional.normalize(theirs.W.detach(), dim=0)
    loss = am_softmax(30 * (cosines[:, 1] - cosines[:, 0]), labels, margin=margin)
    expected = theirs(twin, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, twin.grad, rtol=1e-4, atol=1e-6)


def test_am_softmax_without_margin_is_binary_cross_entropy() -> None:
    logit, labels = torch.tensor([-3.0, 0.5, 40.0, -60.0]), torch.tensor([0, 1, 0, 1])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logit, labels.float())
    torch.testing.assert_close(am_softmax(logit, labels, margin=0.0), expected)


def test_am_softmax_refuses_what_cannot_work() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 1\)"):
        am_softmax(torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(ConfigError, match="margin >= 0"):
        am_softmax(torch.zeros(2), torch.zeros(2), margin=-0.1)
