"""EfficientNet-Lite0 against timm's, and that a scan does without the latter."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch

from unmask.models.efficientnet_lite import NAME, EfficientNetLite0, fold_norms


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    torch.manual_seed(0)
    found: torch.nn.Module = timm.create_model(NAME, num_classes=0)
    for module in found.modules():  # as after training: nothing is 0 or 1
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return found


def test_has_timms_tensors(theirs: torch.nn.Module) -> None:
    mine, known = EfficientNetLite0().state_dict(), theirs.state_dict()
    assert {n: v.shape for n, v in mine.items()} == {n: v.shape for n, v in known.items()}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(96, 96), (65, 97)])
def test_computes_what_timms_does(
    theirs: torch.nn.Module, size: tuple[int, int], training: bool
) -> None:
    mine = EfficientNetLite0().train(training)
    mine.load_state_dict(theirs.state_dict())
    before = {name: value.clone() for name, value in theirs.state_dict().items()}
    x = torch.rand(2, 3, *size) * 2 - 1
    with torch.no_grad():
        expected = theirs.train(training).forward_features(x)  # type: ignore[operator]
        torch.testing.assert_close(mine(x), expected, rtol=1e-4, atol=1e-4)
    after = theirs.state_dict()
    for name, value in mine.state_dict().items():
        torch.testing.assert_close(value, after[name], rtol=1e-4, atol=1e-5)
    theirs.load_state_dict(before)


def test_starts_from_weights_of_timms_spread(theirs: torch.nn.Module) -> None:
    torch.manual_seed(0)
    fresh = timm.create_model(NAME, num_classes=0).state_dict()
    for name, value in EfficientNetLite0().state_dict().items():
        if value.ndim == 4:
            assert float(value.std()) == pytest.approx(float(fresh[name].std()), rel=0.2), name


@pytest.mark.parametrize("size", [(96, 96), (65, 97)])
def test_folded_it_computes_the_same(theirs: torch.nn.Module, size: tuple[int, int]) -> None:
    mine = EfficientNetLite0()
    mine.load_state_dict(theirs.state_dict())
    x = torch.rand(2, 3, *size) * 2 - 1
    with torch.no_grad():
        expected = mine.eval()(x)
        fold_norms(mine)
        torch.testing.assert_close(mine(x), expected, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in mine.modules())
    fold_norms(mine)  # again changes nothing
    with torch.no_grad():
        torch.testing.assert_close(mine(x), expected, rtol=1e-4, atol=1e-4)


def test_the_packaged_model_is_loaded_without_timm() -> None:
    code = (
        "import sys; from unmask import Detector; Detector.from_pretrained(); "
        "sys.exit('timm' in sys.modules or 'torchvision' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
