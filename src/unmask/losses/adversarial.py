"""The two sides of an adversarial game, on a discriminator's logits.

Here `pictures` are what the discriminator is to accept, and `generated` what a network made of
them; neither has to do with the labels real and fake of the detector.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.errors import ShapeError


def _precise(logits: Tensor, name: str) -> Tensor:
    if logits.ndim != 1 or not len(logits):
        raise ShapeError(f"{name} must be logits (N,), N >= 1; got {tuple(logits.shape)}.")
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def adversarial_discriminator(pictures: Tensor, generated: Tensor) -> Tensor:
    """What the discriminator minimises: -E log D(x) - E log(1 - D(g)), D the sigmoid of its logit.

    Goodfellow et al. 2014, "Generative adversarial nets", eq. 1 with the sign turned.

    Args:
        pictures: (N,) logits of pictures as they were taken.
        generated: (M,) logits of generated ones, of a graph that does not reach the generator.

    Returns:
        Scalar float > 0; 2 log 2 for a discriminator that cannot tell.

    Raises:
        ShapeError: other shapes, or nothing in one of them.

    >>> round(float(adversarial_discriminator(torch.zeros(3), torch.zeros(2))), 4)
    1.3863
    """
    pictures, generated = _precise(pictures, "pictures"), _precise(generated, "generated")
    return F.softplus(-pictures).mean() + F.softplus(generated).mean()


def adversarial_generator(generated: Tensor) -> Tensor:
    """What the generator minimises: -E log D(g), the non-saturating form.

    Goodfellow et al. 2014, section 3: unlike E log(1 - D(g)) of eq. 1 it keeps its gradient where
    the discriminator is sure.

    Args:
        generated: (N,) logits of what the generator made.

    Returns:
        Scalar float > 0; log 2 where the discriminator cannot tell.

    Raises:
        ShapeError: another shape, or empty.

    >>> round(float(adversarial_generator(torch.zeros(3))), 4)
    0.6931
    """
    return F.softplus(-_precise(generated, "generated")).mean()
