"""The LAE with weights set by hand, its map's exactness, its variants, and the discriminator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from unmask.errors import ConfigError, ShapeError
from unmask.losses import attention, latent_activation
from unmask.models.discriminator import Discriminator
from unmask.models.lae import LAE, LAEConfig, normalise_map

SMALL = LAEConfig(size=32, channels=(4, 6, 8), latent=16)
PLAIN = SMALL.model_copy(update={"map_normalisation": "none"})


def lae(config: LAEConfig = SMALL, seed: int = 0, **changes: Any) -> LAE:
    torch.manual_seed(seed)
    return LAE(config.model_copy(update=changes)).eval()


def faces(n: int = 3, side: int = 32, seed: int = 1) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def by_hand(maps: list[list[float]], **changes: Any) -> LAE:
    """A network whose encoder gives the same two 2 x 2 maps for every picture, K = 4.

    The latent's weights are z_1 = f_1, z_2 = -f_2, z_3 = 2 f_2, z_4 = f_1 - f_2.
    """

    class Given(nn.Module):
        def forward(self, rgb: Tensor) -> Tensor:
            return torch.tensor(maps).view(1, 2, 2, 2).expand(len(rgb), -1, -1, -1)

    model = lae(LAEConfig(size=16, channels=(1, 2), latent=4), map_normalisation="none", **changes)
    model.encoder = Given()  # type: ignore[assignment]
    with torch.no_grad():
        model.latent.weight.copy_(
            torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.0, 2.0], [1.0, -1.0]])[:, :, None, None]
        )
    return model


F1, F2 = [4.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 6.0]  # means 1 and 2
LATENT = [1.0, -2.0, 4.0, -1.0]


def test_latent_activations_and_logit_by_hand() -> None:
    model, rgb = by_hand([F1, F2]), faces(2, 16)
    output = model.encode(rgb)
    assert output.latent.tolist() == [LATENT] * 2
    assert output.activations.tolist() == [[1.5, 2.5]] * 2
    assert output.reconstruction is None
    scored = model(rgb, rgb)
    assert scored.logit.tolist() == [4.0 * (2.5 - 1.5)] * 2
    torch.testing.assert_close(scored.embedding, F.normalize(torch.tensor([LATENT] * 2)))
    # |1.5 - 1| + |2.5 - 0| for the real, |1.5 - 0| + |2.5 - 1| for the fake
    loss = latent_activation(output.activations.detach(), torch.tensor([0, 1]))
    assert float(loss) == 3.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # |z| weights 1, 2, 4, 1: 4 M = 2 f_1 + (-2 + 8 - 1) f_2
        ({}, [2.0, 0.0, 2.5, 7.5]),
        # fake half: 2 M = f_1 + (8 - 1) f_2
        ({"map": "fake_half"}, [2.0, 0.0, 7.0, 21.0]),
        # z weights 1, -2, 4, -1: 4 M = (1 - 1) f_1 + (2 + 8 + 1) f_2
        ({"map_weight": "signed"}, [0.0, 0.0, 5.5, 16.5]),
        # 2 M = -f_1 + (8 + 1) f_2, rectified
        ({"map": "fake_half", "map_weight": "signed"}, [0.0, 0.0, 9.0, 27.0]),
    ],
)
def test_the_map_by_hand(changes: dict[str, Any], expected: list[float]) -> None:
    model, rgb = by_hand([F1, F2], **changes), faces(2, 16)
    assert model.encode(rgb).map.flatten(1).tolist() == [expected] * 2
    assert model.attribution(rgb[:1]).flatten().tolist() == expected
    target = torch.tensor(expected).view(1, 2, 2)
    mask = torch.tensor([[[False, False], [True, True]]])
    got = attention(model.encode(rgb[:1]).map, mask, torch.tensor([True]))
    torch.testing.assert_close(got, ((target - mask.float()) ** 2).mean())


def test_a_latent_map_is_the_exact_class_activation_map_of_its_unit() -> None:
    model, rgb = lae(PLAIN), faces()
    maps, output = model.latent_maps(rgb), model.encode(rgb)
    torch.testing.assert_close(maps.mean((2, 3)), output.latent)
    features = model.encoder(rgb)
    weights = model.latent.weight[:, :, 0, 0]
    torch.testing.assert_close(maps, torch.einsum("ck,nkhw->nchw", weights, features))


def test_the_signed_map_cannot_be_empty() -> None:
    """Its mean before the ReLU is the mean of z_c^2; the magnitude's may lie below zero."""
    rgb = faces()
    signed, plain = (lae(PLAIN, map_weight=how) for how in ("signed", "magnitude"))
    for model in (signed, plain):
        with torch.no_grad():  # every unit below zero
            model.latent.weight.copy_(-model.latent.weight.abs())
    output = signed.encode(rgb)
    torch.testing.assert_close(output.map.mean((1, 2)), output.latent.square().mean(1))
    assert not plain.encode(rgb).map.any()


def test_positive_latents_leave_nothing_to_rectify() -> None:
    rgb = faces()
    model, free = lae(PLAIN, latent_sign="positive"), lae(PLAIN)
    model.load_state_dict(free.state_dict())
    maps = model.latent_maps(rgb)
    torch.testing.assert_close(maps, torch.log1p(free.latent_maps(rgb).double().exp()).float())
    output = model.encode(rgb)
    torch.testing.assert_close(output.map.mean((1, 2)), output.latent.square().mean(1))
    # |z_c| = z_c: magnitude and sign give the same map
    signed = lae(PLAIN, latent_sign="positive", map_weight="signed")
    signed.load_state_dict(free.state_dict())
    torch.testing.assert_close(signed.encode(rgb).map, output.map)


def test_the_encoder_may_see_residuals_beside_the_picture() -> None:
    model, rgb = lae(PLAIN, residuals=("resampling", "srm")), faces()
    seen = model._seen(rgb)
    assert seen.shape == (len(rgb), 9, *rgb.shape[2:])
    torch.testing.assert_close(seen[:, :3], rgb)
    pixels = (rgb + 1) * 127.5
    assert model.views is not None
    limit = model.views.config.limit
    expected = (pixels - F.interpolate(pixels[..., ::2, ::2], scale_factor=2)) / limit
    torch.testing.assert_close(seen[:, 3:6], expected.clamp(-1, 1), atol=1e-5, rtol=1e-5)
    rebuilt = model.reconstruct(rgb).reconstruction
    assert rebuilt is not None
    assert rebuilt.shape == rgb.shape
    weights = model.latent.weight[:, :, 0, 0]
    torch.testing.assert_close(model.channel_activations(rgb) @ weights.T, model.encode(rgb).latent)


def test_channel_activations_are_the_means_the_latent_is_made_of() -> None:
    model, rgb = lae(), faces()
    activations = model.channel_activations(rgb)
    layer, view = model.cam_layer
    assert view == "rgb"
    torch.testing.assert_close(activations, layer(rgb).mean((2, 3)))
    weights = model.latent.weight[:, :, 0, 0]
    torch.testing.assert_close(activations @ weights.T, model.encode(rgb).latent)


def test_the_formulas_with_loops() -> None:
    model, rgb = lae(PLAIN), faces()
    output, maps = model.encode(rgb), model.latent_maps(rgb)
    half = PLAIN.latent // 2
    for n in range(3):
        z = output.latent[n].tolist()
        a_true = sum(abs(v) for v in z[:half]) / half
        a_fake = sum(abs(v) for v in z[half:]) / half
        assert output.activations[n].tolist() == pytest.approx([a_true, a_fake], rel=1e-5)
        heat = sum(abs(v) * maps[n, c] for c, v in enumerate(z)) / len(z)
        assert isinstance(heat, Tensor)
        torch.testing.assert_close(output.map[n], heat.clamp_min(0), rtol=1e-4, atol=1e-5)


def test_the_larger_half_wins_at_a_logit_of_zero() -> None:
    model, rgb = lae(), faces(8)
    a_true, a_fake = model.encode(rgb).activations.unbind(1)
    assert torch.equal(model(rgb, rgb).logit > 0, a_fake > a_true)
    with torch.no_grad():  # exchange the halves
        model.latent.weight.copy_(model.latent.weight.roll(SMALL.latent // 2, 0))
    torch.testing.assert_close(model(rgb, rgb).logit, SMALL.logit_scale * (a_true - a_fake))


def test_the_map_lies_where_the_picture_differs() -> None:
    model = lae(PLAIN, map_weight="signed")
    rgb = torch.zeros(1, 3, 32, 32)
    lit = rgb.clone()
    lit[..., 20:28, 4:12] = 1.0
    change = (model.encode(lit).map - model.encode(rgb).map).abs()[0]
    assert change.shape == (8, 8)
    row, column = divmod(int(change.argmax()), 8)
    assert 4 <= row <= 7
    assert 0 <= column <= 3


@pytest.mark.parametrize("how", ["none", "max", "minmax", "sum"])
def test_maps_are_normalised_each_by_itself(how: Any) -> None:
    maps = torch.rand(3, 5, 4, dtype=torch.float64) + 0.3
    maps[1] *= 20
    got = normalise_map(maps, how).numpy()
    for n, heat in enumerate(maps.numpy()):
        expected = {
            "none": heat,
            "max": heat / heat.max(),
            "minmax": (heat - heat.min()) / (heat.max() - heat.min()),
            "sum": heat / heat.sum(),
        }[how]
        np.testing.assert_allclose(got[n], expected, rtol=1e-12)
    assert not normalise_map(torch.zeros(2, 3, 3), how).any()
    maps.requires_grad_()
    assert torch.autograd.gradcheck(lambda m: normalise_map(m, how), maps)
    dark = torch.zeros(1, 3, 3, requires_grad=True)
    normalise_map(dark, how).sum().backward()
    assert dark.grad is not None
    assert dark.grad.isfinite().all()


@pytest.mark.parametrize("how", ["none", "max", "minmax", "sum"])
def test_the_configured_normalisation_can_be_overruled(how: Any) -> None:
    rgb = faces()
    plain = lae(PLAIN).encode(rgb)
    assert (plain.map.amax((1, 2)) != 1).all()
    output = lae(map_normalisation=how).encode(rgb)
    torch.testing.assert_close(output.map, normalise_map(plain.map, how))
    again = lae(map_normalisation=how)
    assert torch.equal(again.encode(rgb, normalisation="none").map, plain.map)
    assert torch.equal(again.reconstruct(rgb, normalisation="none").map, plain.map)
    assert torch.equal(again.attribution(rgb[:1]), plain.map[0])


def test_the_reconstruction_has_the_pictures_size_and_range() -> None:
    model, rgb = lae(), faces()
    output = model.reconstruct(rgb)
    assert output.reconstruction is not None
    assert output.reconstruction.shape == rgb.shape
    assert output.reconstruction.dtype == torch.float32
    assert output.reconstruction.abs().max() <= 1
    for one, two in zip(model.encode(rgb)[:3], output[:3], strict=True):
        assert one is not None
        assert two is not None
        assert torch.equal(one, two)


def test_nothing_reaches_the_reconstruction_but_the_latent_maps() -> None:
    model, rgb = lae(), faces()
    with torch.no_grad():
        model.latent.weight.zero_()
    rebuilt = model.reconstruct(rgb).reconstruction
    assert rebuilt is not None
    torch.testing.assert_close(rebuilt, rebuilt[:1].expand_as(rebuilt))


def test_the_reconstruction_reaches_decoder_latent_and_encoder() -> None:
    model, rgb = lae().train(), faces(4)
    rebuilt = model.reconstruct(rgb).reconstruction
    assert rebuilt is not None
    F.mse_loss(rebuilt, rgb).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_few_steps_learn_to_rebuild_a_picture() -> None:
    model, rgb = lae().train(), faces(2, seed=4)
    rgb = F.interpolate(F.avg_pool2d(rgb, 8), scale_factor=8.0)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        rebuilt = model.reconstruct(rgb).reconstruction
        assert rebuilt is not None
        loss = F.mse_loss(rebuilt, rgb)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_a_selected_half_is_all_that_the_decoder_gets() -> None:
    model, rgb = lae(decode="selected"), faces(4)
    labels = torch.tensor([0, 1, 0, 1])
    maps, half = model.latent_maps(rgb), SMALL.latent // 2
    for n in range(4):
        kept = torch.zeros_like(maps[n : n + 1])
        part = slice(half, None) if labels[n] else slice(half)
        kept[:, part] = maps[n, part]
        got = model.reconstruct(rgb, labels).reconstruction
        assert got is not None
        torch.testing.assert_close(got[n : n + 1], model.decoder(kept))
    winners = (model(rgb, rgb).logit >= 0).long()
    free, told = (model.reconstruct(rgb, given).reconstruction for given in (None, winners))
    assert free is not None
    assert told is not None
    assert torch.equal(free, told)
    both = lae().reconstruct(rgb, labels).reconstruction
    plain = lae().reconstruct(rgb).reconstruction
    assert both is not None
    assert plain is not None
    assert torch.equal(both, plain)
    assert not torch.equal(both, free)


def test_autocast_keeps_latent_and_map_in_float32() -> None:
    model, rgb = lae(), faces()
    exact = model.reconstruct(rgb)
    with torch.autocast("cpu", torch.bfloat16):
        fast = model.reconstruct(rgb)
    assert {t.dtype for t in fast if t is not None} == {torch.float32}
    torch.testing.assert_close(fast.latent, exact.latent, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("how", ["none", "max"])
@pytest.mark.parametrize("weight", ["magnitude", "signed"])
def test_both_losses_reach_the_latents_weights_as_finite_differences_say(
    how: Any, weight: Any
) -> None:
    config = LAEConfig(size=16, channels=(2, 3), latent=4)
    model, rgb = lae(config, map_weight=weight, map_normalisation=how).double(), faces(2, 16)
    masks = torch.zeros(2, 16, 16, dtype=torch.bool)
    masks[:, 4:9, 2:12] = True
    has, labels = torch.tensor([True, True]), torch.tensor([0, 1])

    def loss(weights: Tensor) -> Tensor:
        maps = F.conv2d(model.encoder(rgb.double()).detach(), weights)
        output = model._encoded(maps, None)
        return latent_activation(output.activations, labels) + attention(output.map, masks, has)

    start = model.latent.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, start)
    (gradient,) = torch.autograd.grad(loss(start), start)
    assert gradient.any()


def test_attention_moves_the_map_to_the_mask() -> None:
    model, rgb = lae(map_weight="signed").train(), faces(4)
    masks = torch.zeros(4, 32, 32, dtype=torch.bool)
    masks[:, 8:16, 16:28] = True
    has = torch.tensor([True, True, False, False])
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    before = attention(model.encode(rgb).map, masks, has)
    for _ in range(40):
        optimiser.zero_grad()
        attention(model.encode(rgb).map, masks, has).backward()
        optimiser.step()
    after = attention(model.encode(rgb).map, masks, has)
    assert after < 0.5 * before
    assert after < 0.8 * masks.float().mean()  # what an empty map would have


def test_configurations_that_cannot_be_built_are_refused() -> None:
    for size in (8, 100, 250):
        with pytest.raises(ValidationError, match="size"):
            LAEConfig(size=size)
    with pytest.raises(ValidationError, match="multiple of 32 with 6 levels"):
        LAEConfig(size=48, channels=(4,) * 6)
    with pytest.raises(ValidationError, match="latent"):
        LAEConfig(latent=7)
    with pytest.raises(ConfigError, match="no backbone"):
        LAE(SMALL, pretrained=True)
    with pytest.raises(ShapeError, match=r"\(N, 3, 32, 32\).*\(3, 3, 48, 48\)"):
        lae().encode(faces(side=48))
    with pytest.raises(ShapeError, match=r"labels must be \(3,\)"):
        lae(decode="selected").reconstruct(faces(), torch.zeros(2))


def test_the_default_is_of_the_size_the_source_describes() -> None:
    model = LAE()
    assert model.latent_maps(torch.zeros(1, 3, 256, 256)).shape == (1, 128, 16, 16)
    half = LAE(LAEConfig(size=128))
    assert half.latent_maps(torch.zeros(1, 3, 128, 128)).shape == (1, 128, 8, 8)
    assert sum(p.numel() for p in half.parameters()) == sum(p.numel() for p in model.parameters())


def test_the_discriminator_is_dcgans() -> None:
    torch.manual_seed(0)
    net = Discriminator(64)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 1]
    assert [c.kernel_size for c in convolutions] == [(4, 4)] * 5
    assert [c.stride for c in convolutions] == [(2, 2)] * 4 + [(1, 1)]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m.num_features for m in norms] == [128, 256, 512]
    assert not any(isinstance(m, nn.MaxPool2d | nn.AvgPool2d | nn.Linear) for m in net.modules())
    assert {m.negative_slope for m in net.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}
    for convolution in convolutions:
        assert float(convolution.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    # 4 x 4 kernels: 3-64 and its bias, 64-128-256-512 with scale and shift, 512-1 and its bias
    count = 3 * 64 * 16 + 64 + (64 * 128 + 128 * 256 + 256 * 512) * 16 + 2 * 896 + 512 * 16 + 1
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize(
    ("size", "last"), [(16, 4), (32, 4), (48, 6), (80, 5), (128, 4), (176, 11)]
)
def test_the_discriminator_takes_every_size_the_network_takes(size: int, last: int) -> None:
    torch.manual_seed(0)
    net = Discriminator(size, width=2).train()
    assert isinstance(net.layers[-1], nn.Conv2d)
    assert net.layers[-1].kernel_size == (last, last)
    pictures = faces(3, size)
    logits = net(pictures)
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    # a bias before a single logit moves it as any weight does
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_discriminator_refuses_what_it_cannot_take() -> None:
    for size, width in ((8, 4), (100, 4), (64, 0)):
        with pytest.raises(ConfigError, match="multiple of 16"):
            Discriminator(size, width)
    with pytest.raises(ShapeError, match=r"\(N, 3, 32, 32\)"):
        Discriminator(32, 2)(faces(side=48))
