"""The perceptual loss: VGG16's layers by hand, frozen weights, and where weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from unmask.errors import CheckpointError, ConfigError, ShapeError
from unmask.losses.perceptual import LAYERS, PerceptualLoss, build_perceptual


def pictures(n: int = 2, side: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    one, two = (torch.rand(n, 3, side, side, generator=generator) * 2 - 1 for _ in range(2))
    return one, two


def weights(loss: PerceptualLoss) -> dict[str, Tensor]:
    return {f"features.{name}": tensor for name, tensor in loss.features.state_dict().items()}


def test_it_is_the_mean_squared_difference_of_the_features() -> None:
    loss = PerceptualLoss(("relu1_1", "relu2_1"))
    state = weights(loss)

    def seen(picture: Tensor) -> list[Tensor]:
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        x = ((picture + 1) / 2 - mean) / std
        x = first = F.relu(F.conv2d(x, state["features.0.weight"], padding=1))
        x = F.relu(F.conv2d(x, state["features.2.weight"], padding=1))
        x = F.max_pool2d(x, 2)
        return [first, F.relu(F.conv2d(x, state["features.5.weight"], padding=1))]

    one, two = pictures()
    expected = sum(
        ((a - b) ** 2).sum() / a[0].numel() / len(a)
        for a, b in zip(seen(one), seen(two), strict=True)
    )
    torch.testing.assert_close(loss(one, two), expected)
    assert loss(one, one) == 0
    torch.testing.assert_close(loss(one, two), loss(two, one))


def test_layers_lie_where_vgg16_has_them() -> None:
    with torch.device("meta"):  # shapes only
        net = timm.create_model("vgg16", pretrained=False, num_classes=0)
    for name in sorted(LAYERS):
        loss = PerceptualLoss((name,))
        (index,) = loss.taps
        assert len(loss.features) == index + 1
        for mine, theirs in zip(loss.features, net.features, strict=False):
            assert type(mine) is type(theirs)
            if isinstance(mine, nn.Conv2d):
                assert mine.weight.shape == theirs.weight.shape
        pools = sum(isinstance(layer, nn.MaxPool2d) for layer in loss.features)
        convolutions = sum(isinstance(layer, nn.Conv2d) for layer in loss.features)
        before = [2, 4, 7, 10]
        assert name == f"relu{pools + 1}_{convolutions - ([0, *before][pools])}"


def test_the_random_weights_are_he_initialised_frozen_and_the_same_every_time() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    loss, again = (build_perceptual("random", layers=("relu3_3",)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert loss is not None
    assert again is not None
    assert all(
        torch.equal(a, b) for a, b in zip(loss.parameters(), again.parameters(), strict=True)
    )
    other = build_perceptual("random", seed=1)
    assert other is not None
    assert not torch.equal(loss.features[0].weight, other.features[0].weight)  # type: ignore[arg-type]
    assert not any(p.requires_grad for p in loss.parameters())
    for layer in loss.features:
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.in_channels * 9
            assert float(layer.weight.std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
            assert layer.bias is not None
            assert not layer.bias.any()


def test_the_gradient_against_finite_differences() -> None:
    loss = PerceptualLoss(("relu1_2", "relu2_1")).double()
    one, two = (p.double() for p in pictures(1, 4))
    two.requires_grad_()
    assert torch.autograd.gradcheck(lambda t: loss(one, t), two)
    loss(one, two).backward()
    assert two.grad is not None
    assert two.grad.any()
    assert all(p.grad is None for p in loss.parameters())


def test_weights_of_a_file_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.safetensors"
    source = PerceptualLoss(("relu3_3",), seed=9)
    state = {**weights(source), "classifier.0.weight": torch.zeros(2)}  # passed over
    save_file(state, path)
    loss = build_perceptual(path)
    assert loss is not None
    for name, tensor in weights(loss).items():
        assert torch.equal(tensor, state[name])
    assert not any(p.requires_grad for p in loss.parameters())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    state = weights(PerceptualLoss())
    state["features.2.weight"] = torch.zeros(64, 64, 5, 5)
    save_file(state, path)
    with pytest.raises(
        CheckpointError, match=r"other\.safetensors.*1 tensors.*features\.2\.weight"
    ):
        build_perceptual(path)
    save_file({"features.0.weight": state["features.0.weight"]}, path)
    with pytest.raises(CheckpointError, match="missing"):
        build_perceptual(path)
    path.write_bytes(b"not a tensor")
    with pytest.raises(CheckpointError, match=r"not a safetensors file.*(?s:.*)convert"):
        build_perceptual(path)
    with pytest.raises(CheckpointError, match="There is no file"):
        build_perceptual(tmp_path / "absent.safetensors")


class Fetched:
    """Stands for timm's network: the hub is not asked in tests."""

    def state_dict(self) -> dict[str, Tensor]:
        return weights(PerceptualLoss(("relu2_2",), seed=4))


def test_the_hub_is_asked_for_vgg16(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def create(name: str, **options: Any) -> Fetched:
        asked.append((name, options))
        return Fetched()

    monkeypatch.setattr(timm, "create_model", create)
    loss = build_perceptual("hub")
    assert asked == [("vgg16", {"pretrained": True, "num_classes": 0})]
    assert loss is not None
    assert torch.equal(
        weights(loss)["features.0.weight"], Fetched().state_dict()["features.0.weight"]
    )


def test_without_the_hub_the_message_names_what_else_can_be_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigError, match="no route to host") as caught:
        build_perceptual("hub")
    assert all(word in str(caught.value) for word in (".safetensors", "random", "none"))


def test_none_leaves_it_out_and_the_rest_is_refused() -> None:
    assert build_perceptual("none") is None
    wrong: Any = "imagenet"
    with pytest.raises(ConfigError, match=r"(?s)'imagenet'.*hub, random, none"):
        build_perceptual(wrong)
    with pytest.raises(ConfigError, match=r"(?s)relu6_1.*relu1_1"):
        PerceptualLoss(("relu6_1",))
    with pytest.raises(ConfigError, match="cannot use the layers"):
        PerceptualLoss(())
    one, two = pictures()
    with pytest.raises(ShapeError, match="alike"):
        PerceptualLoss()(one, two[:1])
