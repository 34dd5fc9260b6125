"""OpenVINO says what torch says; what it compiles from is kept, and nobody is told of it."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unmask.errors import ConfigError, MissingExtraError
from unmask.faces import MTCNNDetector
from unmask.inference import compiled
from unmask.inference.compiled import CompiledNet, face_compiler, kept_graphs
from unmask.inference.detector import Detector
from unmask.inference.settings import Settings, choose_device, locate_weights
from unmask.media import try_decode
from unmask.models.checkpoint import load_checkpoint, predict
from unmask.models.efficientnet_lite import fold_norms
from unmask.models.output import ModelOutput
from unmask.models.registry import MODELS

pytestmark = pytest.mark.skipif(
    find_spec("openvino") is None, reason="openvino is not installed: pip install '.[openvino]'"
)
EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("airl_lite0", "probe", "srm", "lae", "meso4")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def built(name: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """A network with random weights, and three crops as it takes them."""
    torch.manual_seed(0)
    model, spec = MODELS[name].create().eval(), MODELS[name].input
    fold_norms(model)
    native = torch.rand(3, 3, spec.native_size, spec.native_size) * 255
    side = spec.rgb_size or spec.native_size
    rgb = native / 255 - 0.5 if spec.rgb_size is None else torch.rand(3, 3, side, side) - 0.5
    return model, {"rgb": rgb, "native": native}


def compile_(model: nn.Module, name: str, digest: str = "0") -> CompiledNet:
    return CompiledNet(model, MODELS[name].input, name=name, digest=digest, threads=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_says_what_it_says_in_torch(name: str) -> None:
    model, inputs = built(name)
    logits, embeddings = predict(model, inputs)
    found = compile_(model, name).predict(inputs)
    np.testing.assert_allclose(found[0], logits, atol=1e-5)
    np.testing.assert_allclose(found[1], embeddings, atol=1e-4)
    assert (found[0].dtype, found[1].dtype) == (np.float64, np.float32)
    assert np.ptp(logits) > 0


def test_the_packaged_model_gives_the_same_results() -> None:
    paths = [EXAMPLES / f"{name}.jpg" for name in ("fake_swap_london_1", "real_congress_1")]
    compiled_one = Detector.from_pretrained(device="openvino")
    torch_one = Detector.from_pretrained(device="cpu")
    for path in paths:
        found, expected = compiled_one.scan(path), torch_one.scan(path)
        assert found.score == pytest.approx(expected.score, abs=1e-5)
        assert (found.verdict, found.reasons) == (expected.verdict, expected.reasons)
        assert found.run is not None
        assert found.run.device == "openvino"
    assert compiled_one.settings_sha256 == torch_one.settings_sha256


PORTRAITS = ("fake_swap_london_1", "real_congress_1", "real_london_1")


@pytest.mark.parametrize("name", PORTRAITS)
def test_faces_are_where_torch_finds_them(name: str) -> None:
    image = try_decode(EXAMPLES / f"{name}.jpg", max_frames=1).frames[0].image
    for min_face in (12.0, 40.0):
        found = MTCNNDetector(min_face=min_face, compiler=face_compiler(2)).detect(image)
        expected = MTCNNDetector(min_face=min_face).detect(image)
        assert len(found) == len(expected) > 0
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.box, other.box, atol=1e-3)
            np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-3)
            assert one.confidence == pytest.approx(other.confidence, abs=1e-5)


def test_faces_are_found_by_several_threads_at_once() -> None:
    frames = [try_decode(EXAMPLES / f"{n}.jpg", max_frames=1).frames[0].image for n in PORTRAITS]
    detector = MTCNNDetector(compiler=face_compiler(2))
    one_core = partial(torch.set_num_threads, 1)  # torch rounds by how many share a map
    with ThreadPoolExecutor(1, initializer=one_core) as pool:
        alone = list(pool.map(lambda frame: detector.detect(frame)[0].box, frames))
    with ThreadPoolExecutor(4, initializer=one_core) as pool:
        together = list(pool.map(lambda frame: detector.detect(frame)[0].box, frames * 4))
    assert together == alone * 4


def test_detectors_of_one_network_share_what_is_compiled() -> None:
    """A service has one for every number of frames that was asked for."""
    network, card = load_checkpoint(locate_weights("unmask-default"))
    some, other = (
        Detector(network, card, device="openvino", settings=Settings(max_frames=n)) for n in (1, 2)
    )
    assert some._compiled is other._compiled


def test_threads_do_not_disturb_each_other() -> None:
    model, inputs = built("meso4")
    net = compile_(model, "meso4")
    alone = [net.predict({k: v[i : i + 1] for k, v in inputs.items()})[0][0] for i in range(3)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: net.predict(inputs)[0], range(12)))
    for found in together:
        np.testing.assert_array_equal(found, alone)


def refuse(*_: Any) -> None:
    raise AssertionError("converted again")


def test_a_graph_is_kept_for_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = built("meso4")
    expected = compile_(model, "meso4").predict(inputs)[0]
    (folder,) = kept_graphs().iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["network.bin", "network.xml"]
    monkeypatch.setattr(compiled, "_converted", refuse)
    np.testing.assert_array_equal(compile_(model, "meso4").predict(inputs)[0], expected)
    with pytest.raises(AssertionError, match="converted again"):
        compile_(model, "meso4", digest="1")


@pytest.mark.parametrize("damage", ["", "<net", None])
def test_a_damaged_graph_is_made_anew(damage: str | None) -> None:
    model, inputs = built("meso4")
    expected = compile_(model, "meso4").predict(inputs)[0]
    (folder,) = kept_graphs().iterdir()
    if damage is None:
        (folder / "network.bin").write_bytes(b"")
    else:
        (folder / "network.xml").write_text(damage)
    np.testing.assert_array_equal(compile_(model, "meso4").predict(inputs)[0], expected)
    assert (folder / "network.bin").stat().st_size > 0
    assert [one.name for one in kept_graphs().iterdir()] == [folder.name]


def test_where_nothing_can_be_kept_it_works_all_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "unmask").write_text("in the way")
    model, inputs = built("meso4")
    logits, _ = compile_(model, "meso4").predict(inputs)
    np.testing.assert_allclose(logits, predict(model, inputs)[0], atol=1e-5)
    assert [path.name for path in cache.iterdir()] == ["unmask"]


def test_only_so_many_graphs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "KEPT", 2)
    model, _ = built("meso4")
    seen = []
    for digest in "abc":
        compile_(model, "meso4", digest)
        seen.append({one.name for one in kept_graphs().iterdir()})
    assert [len(names) for names in seen] == [1, 2, 2]
    assert seen[2] - seen[1] != set()  # the newest is there


class Odd(nn.Module):
    """A network of which OpenVINO knows a part only."""

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        return ModelOutput(torch.special.bessel_j0(native).mean((1, 2, 3)), rgb.mean((2, 3)))


def test_a_network_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot run the model odd: .*bessel") as caught:
        CompiledNet(Odd(), MODELS["meso4"].input, name="odd", digest="0", threads=1)
    assert caught.value.hint == "Use --device cpu."
    assert not kept_graphs().exists()


def test_it_is_for_float32_alone() -> None:
    with pytest.raises(ConfigError, match="computes in float32, not in bfloat16"):
        Detector.from_pretrained(device="openvino", precision="bfloat16")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError) as caught:
        choose_device("openvino")
    assert "--device openvino" in str(caught.value)
    assert caught.value.hint == "Install it with: pip install 'unmask[openvino]'"


TELLS = """
import socket, sys
def refuse(*_, **__):
    raise SystemExit("a connection was tried")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from unmask.inference.compiled import runtime
runtime()
from openvino.tools.ovc import telemetry_utils
assert sys.modules["openvino_telemetry"] is None
print(telemetry_utils.tm.__name__)
"""


def test_its_maker_is_not_told() -> None:
    told = subprocess.run(
        [sys.executable, "-c", TELLS], capture_output=True, text=True, timeout=120, check=False
    )
    assert told.stdout.strip() == "openvino.tools.ovc.telemetry_stub", told.stderr


def test_the_command_takes_it() -> None:
    picture = EXAMPLES / "real_congress_1.jpg"
    command = [sys.executable, "-m", "unmask", "scan", str(picture), "--device", "openvino"]
    done = subprocess.run(
        [*command, "--format", "jsonl"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"]["device"] == "openvino"
