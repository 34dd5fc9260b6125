"""Which pictures are worth a mask: selection rules over what a network gives of each.

Masks cost time, so only a few pictures get one, after the first stage of training (METHODS, LAE).
The rules are functions of numpy arrays: the same arrays and seed choose the same pictures.

A network gives logit and embedding as always (`ModelOutput`). `published` also needs (N, C) channel
activations: if the network has a method `channel_activations(rgb: (N, 3, s, s)) -> (N, C)`, those
(of an LAE: the mean over positions of its last convolution's maps, which its latent and its map are
made of); else the mean over positions of the (N, C, h, w) that its `cam_layer` puts out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unmask.transforms.preprocess import InputSpec
    from unmask.types import UInt8Image

Rule = Literal["published", "random", "entropy", "margin", "core_set"]
RULES: tuple[Rule, ...] = get_args(Rule)
TOP_CHANNELS = 10
_PATH = np.geomspace(1, 1e-3, 61)[1:]
"""Penalties that are tried, relative to the least one at which all weights are 0."""

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Given:
    """What a network gives of N pictures.

    Attributes:
        logits: (N,), positive = fake.
        embeddings: (N, D).
        channels: (N, C) mean activations; None where they were not asked for.
    """

    logits: Floats
    embeddings: Floats
    channels: Floats | None = None


@dataclass(frozen=True)
class Chosen:
    """Places of the chosen pictures, (K,), the most wanted first, and (K,) scores of the rule.

    `random` has no scores (None).
    """

    places: Places
    scores: Floats | None


def select(
    rule: Rule,
    candidates: ArrayLike,
    budget: int,
    *,
    seed: int = 0,
    given: Given | None = None,
    labels: ArrayLike | None = None,
    annotated: ArrayLike = (),
    threshold: float = 0.0,
) -> Chosen:
    """Choose `budget` of the candidates; all of them if there are fewer.

    Args:
        rule: `published` (see `channel_ranking`), `random`, `entropy` and `margin` (the most
            uncertain logits), or `core_set` (k-centre greedy).
        candidates: (M,) places among the N pictures; those annotated already are never chosen.
        budget: how many.
        seed: of `random`, and of `core_set`'s first centre where nothing is annotated.
        given: of the N pictures; needed by every rule but `random`.
        labels: (N,) 0 real, 1 fake; needed by `published`.
        annotated: (A,) places of pictures that have an answer already; `core_set` starts from them.
        threshold: the logit from which on the network says fake, for `margin`.

    Raises:
        ConfigError: an unknown rule, or it lacks what it needs.
        ShapeError: arrays that do not fit each other, or a value that is not finite.
    """
    if rule not in RULES:
        raise ConfigError(f"There is no rule {rule!r}.", f"Choose of: {', '.join(RULES)}.")
    if budget < 1:
        raise ConfigError(f"A budget is one mask or more; got {budget}.")
    done = np.unique(np.asarray(annotated, np.int64))
    free = np.setdiff1d(np.asarray(candidates, np.int64), done)
    if rule == "random":
        return Chosen(np.random.default_rng(seed).permutation(free)[:budget], None)
    if given is None:
        raise ConfigError(f"The rule {rule} needs a model.", "Or select by the rule random.")
    _check_finite(given)
    if rule == "core_set":
        return core_set(given.embeddings, free, budget, annotated=done, seed=seed)
    if rule == "published":
        scores = _published(given, labels)
    else:
        scores = entropy(given.logits) if rule == "entropy" else margin(given.logits, threshold)
    order = free[np.argsort(-scores[free], kind="stable")][:budget]
    return Chosen(order, scores[order])


def _check_finite(given: Given) -> None:
    size = len(given.logits)
    for name in ("logits", "embeddings", "channels"):
        values = getattr(given, name)
        if values is None:
            continue
        if len(values) != size or values.ndim != (1 if name == "logits" else 2):
            raise ShapeError(f"{name} of {size} pictures cannot be {values.shape}.")
        if not np.isfinite(values).all():
            raise ShapeError(f"{name} are not finite: the network has diverged.")


def entropy(logits: ArrayLike) -> Floats:
    """Entropy in nats of P(fake) = sigmoid(logit): (N,) in [0, ln 2], the largest at logit 0.

    Written for |logit| so that a certain picture does not end in 0 * log 0.

    >>> entropy([0.0, 2.0, -2.0]).round(4).tolist()
    [0.6931, 0.3653, 0.3653]
    """
    far = np.abs(np.asarray(logits, np.float64))
    small = np.exp(-far)
    return np.asarray(np.log1p(small) + far * small / (1 + small))


def margin(logits: ArrayLike, threshold: float = 0.0) -> Floats:
    """Minus the distance of each logit to the decision: (N,) <= 0, the largest at `threshold`.

    With two classes and the threshold 0 it orders pictures exactly as `entropy` does; the two
    differ where the network decides elsewhere.
    """
    return np.asarray(-np.abs(np.asarray(logits, np.float64) - threshold))


def core_set(
    embeddings: ArrayLike,
    candidates: ArrayLike,
    budget: int,
    *,
    annotated: ArrayLike = (),
    seed: int = 0,
) -> Chosen:
    """k-centre greedy: always the candidate that is farthest from all centres so far.

    The greatest distance of any candidate to its centre is at most twice the least possible.

    Source: Sener & Savarese 2018, "Active learning for convolutional neural networks: a core-set
    approach", algorithm 1; Gonzalez 1985 for the bound.

    Args:
        embeddings: (N, D).
        candidates: (M,) places.
        budget: how many.
        annotated: (A,) places that are centres from the start. Without any the first centre is
            drawn by `seed`; its score is 0, there being no centre to be far from.
        seed: of that draw.

    Returns:
        the centres in the order in which they were taken, and how far each was from those before.
    """
    x = np.asarray(embeddings, np.float64)
    free = np.asarray(candidates, np.int64)
    nearest = np.full(len(free), np.inf)
    for place in np.asarray(annotated, np.int64):
        nearest = np.minimum(nearest, np.linalg.norm(x[free] - x[place], axis=1))
    places: list[int] = []
    scores: list[float] = []
    left = np.ones(len(free), bool)
    while left.any() and len(places) < budget:
        if np.isinf(nearest).any():
            at, score = int(np.random.default_rng(seed).integers(len(free))), 0.0
        else:
            at = int(np.where(left, nearest, -1.0).argmax())
            score = float(nearest[at])
        places.append(int(free[at]))
        scores.append(score)
        left[at] = False
        nearest = np.minimum(nearest, np.linalg.norm(x[free] - x[free[at]], axis=1))
    return Chosen(np.array(places, np.int64), np.array(scores, np.float64))


def _published(given: Given, labels: ArrayLike | None) -> Floats:
    if given.channels is None:
        raise ConfigError(
            "The rule published needs the network's channel activations.",
            "Use a network with channel_activations or cam_layer, or another rule.",
        )
    if labels is None or len(np.unique(np.asarray(labels))) != 2:
        raise ConfigError(
            "The rule published needs real and fake training pictures to compare.",
            "Select from an index that has both, or by another rule.",
        )
    return activation(given.channels, channel_ranking(given.channels, labels))


def channel_ranking(channels: ArrayLike, labels: ArrayLike, top: int = TOP_CHANNELS) -> Places:
    """The channels that speak most for fake, by a sparse linear model of real against fake.

    Channels are standardised, and an L1 logistic regression is fitted with ever smaller penalties
    until `top` of its weights are above 0. They are ranked by weight. What only speaks for real is
    left out, since fakes are to be painted; the source does not say how it treats the sign, nor how
    it chooses the penalty.

    Source: METHODS section 2, active selection.

    Args:
        channels: (N, C) mean activation of each channel.
        labels: (N,) 0 real, 1 fake; both must occur.
        top: how many.

    Returns:
        (top,) channel numbers, the strongest first; fewer where fewer speak for fake.

    Raises:
        ShapeError: other shapes or labels.
        ConfigError: no channel tells fake from real.
    """
    x, varied = _standardised(channels)
    y = np.asarray(labels, np.float64)
    if y.shape != (len(x),) or not np.isin(y, (0, 1)).all() or y.min() == y.max():
        raise ShapeError(f"labels must be ({len(x)},) with both 0 and 1; got {y.shape}.")
    strongest = float(np.abs(x.T @ (y.mean() - y)).max()) / len(x)
    weights = np.zeros(x.shape[1])
    start: tuple[Floats, float] | None = None
    for share in _PATH if strongest > 1e-12 else ():
        start = sparse_logistic(x, y, strongest * float(share), start=start, tolerance=1e-5)
        weights = start[0]
        if (weights > 0).sum() >= min(top, int(varied.sum())):
            break
    order = np.argsort(-weights, kind="stable")[:top]
    order = order[weights[order] > 0]
    if not len(order):
        raise ConfigError(
            "No channel of the network is more active on fakes than on reals.",
            "Train it longer, or select by another rule.",
        )
    return np.asarray(order, np.int64)


def activation(channels: ArrayLike, chosen: ArrayLike) -> Floats:
    """How much each picture excites the chosen channels: (N,), the mean of their z-scores."""
    x, _ = _standardised(channels)
    return np.asarray(x[:, np.asarray(chosen, np.int64)].mean(axis=1))


def _standardised(channels: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """(N, C) of mean 0 and deviation 1, constant channels 0; and (C,) which are not constant."""
    x = np.asarray(channels, np.float64)
    if x.ndim != 2 or 0 in x.shape or not np.isfinite(x).all():
        raise ShapeError(f"Channel activations must be (N, C) and finite; got {x.shape}.")
    spread = x.std(axis=0)
    varied = spread > 1e-9 * np.abs(x).max(axis=0)
    return np.where(varied, (x - x.mean(axis=0)) / np.where(varied, spread, 1), 0.0), varied


def sparse_logistic(
    x: ArrayLike,
    y: ArrayLike,
    penalty: float,
    *,
    start: tuple[Floats, float] | None = None,
    tolerance: float = 1e-7,
    steps: int = 20_000,
) -> tuple[Floats, float]:
    """Minimise mean log-loss + penalty * |w|_1 over w and a free intercept.

    Accelerated proximal gradient (FISTA, Beck & Teboulle 2009) that starts its momentum anew where
    it points uphill (O'Donoghue & Candes 2015).

    Args:
        x: (N, C). y: (N,) of 0 and 1.
        penalty: >= 0; scikit-learn's C is 1 / (N * penalty).
        start: weights and intercept to begin with.
        tolerance: of the optimality conditions, in units of the gradient.
        steps: at most; what is reached by then is returned.

    Returns:
        (C,) weights, many of them exactly 0, and the intercept.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    design = np.column_stack([x, np.ones(len(x))])
    shrink = np.append(np.full(x.shape[1], penalty), 0.0)
    step = 4 * len(x) / np.linalg.eigvalsh(design.T @ design)[-1]  # 1 / Lipschitz constant
    v = np.zeros(len(shrink)) if start is None else np.append(*start)
    ahead, momentum = v, 1.0
    for _ in range(steps):
        gradient = design.T @ (_sigmoid(design @ ahead) - y) / len(x)
        moved = ahead - step * gradient
        new = np.sign(moved) * np.maximum(np.abs(moved) - step * shrink, 0)
        if np.abs(new - ahead).max() <= step * tolerance:
            return new[:-1], float(new[-1])
        if (ahead - new) @ (new - v) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - v)
        v, momentum = new, following
    return v[:-1], float(v[-1])


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))


def look(
    model: nn.Module,
    spec: InputSpec,
    crop: Callable[[int], UInt8Image],
    size: int,
    *,
    channels: bool,
    batch: int = 32,
    advance: Callable[[], None] = lambda: None,
) -> Given:
    """What a network gives of `size` face crops, on the device it is on.

    Args:
        model: in eval mode, of `load_checkpoint`.
        spec: its input contract.
        crop: place -> (S, S, 3) uint8 RGB.
        size: how many there are, at least one.
        channels: whether to take channel activations, too.
        batch: pictures at a time.
        advance: called once for each.

    Raises:
        ConfigError: channels are asked for, and the network has none.
    """
    from unmask.models.checkpoint import predict
    from unmask.transforms.preprocess import to_tensors, to_views

    device = str(next(model.parameters()).device)
    logits, embeddings, active = [], [], []
    for begin in range(0, size, batch):
        places = range(begin, min(begin + batch, size))
        inputs = to_tensors([to_views(crop(place), spec) for place in places], spec)
        found, embedded = predict(model, inputs, device=device)
        logits.append(found)
        embeddings.append(embedded.astype(np.float64))
        if channels:
            active.append(channel_activations(model, inputs))
        for _ in places:
            advance()
    return Given(
        np.concatenate(logits),
        np.concatenate(embeddings),
        np.concatenate(active) if channels else None,
    )


def check_channels(model: Any) -> None:
    """Raise `ConfigError` if a network has neither `channel_activations` nor `cam_layer`."""
    if not (hasattr(model, "channel_activations") or hasattr(model, "cam_layer")):
        raise ConfigError(
            f"{type(model).__name__} has no channels of a feature map, which the rule published "
            "ranks.",
            "Use another network, or another rule.",
        )


def channel_activations(model: Any, inputs: dict[str, Tensor]) -> Floats:
    """(N, C) mean activation of each channel, see the head of this file.

    Args:
        model: in eval mode.
        inputs: `rgb` and `native`, of `to_tensors`.

    Raises:
        ConfigError: the network has neither `channel_activations` nor `cam_layer`.
    """
    import torch

    check_channels(model)
    device = next(model.parameters()).device
    on = {name: tensor.to(device) for name, tensor in inputs.items()}
    with torch.inference_mode():
        if hasattr(model, "channel_activations"):
            return np.asarray(model.channel_activations(on["rgb"]).double().cpu().numpy())
        kept: list[Tensor] = []
        layer, _ = model.cam_layer
        handle = layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
        try:
            model(**on)
        finally:
            handle.remove()
    return np.asarray(kept[0].double().mean(dim=(2, 3)).cpu().numpy())
