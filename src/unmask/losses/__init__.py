"""Training losses. Plain functions and thin modules; each names its paper and equation."""

from unmask.losses.adversarial import adversarial_discriminator as adversarial_discriminator
from unmask.losses.adversarial import adversarial_generator as adversarial_generator
from unmask.losses.attention import AttentionScale as AttentionScale
from unmask.losses.attention import attention as attention
from unmask.losses.classification import Positives as Positives
from unmask.losses.classification import am_softmax as am_softmax
from unmask.losses.classification import supervised_contrastive as supervised_contrastive
from unmask.losses.latent import latent_activation as latent_activation
from unmask.losses.perceptual import PerceptualLoss as PerceptualLoss
from unmask.losses.perceptual import build_perceptual as build_perceptual
