"""Statistics that are measured once: joined in order, and measured anew where pixels differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unmask.data.dataset import PairSettings
from unmask.models.crew import Crew
from unmask.models.probe import ProbeConfig, ProbeNet
from unmask.models.registry import MODELS
from unmask.models.rich import RichNet
from unmask.training import feeds, statistics
from unmask.training.config import DataConfig, TrainConfig
from unmask.training.statistics import Remembered, StatisticsPairs, measured
from unmask.transforms.laundering import LaunderingPolicy
from unmask.transforms.preprocess import InputSpec


def pixels(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, 64, 64), generator=generator).float()


@pytest.fixture(scope="module")
def net() -> ProbeNet:
    torch.manual_seed(0)
    return ProbeNet(ProbeConfig(rich=True)).eval()


def test_what_was_measured_is_read_and_new_pixels_are_measured(
    net: ProbeNet, tmp_path: Path
) -> None:
    remembered = Remembered(net, tmp_path / "cache")
    with torch.inference_mode():
        first, other = remembered(pixels(0)), remembered(pixels(1))
        torch.testing.assert_close(first, net.statistics(pixels(0)), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(other, net.statistics(pixels(1)), rtol=1e-4, atol=1e-4)
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 4  # two batches, two sources
    for path in files:
        np.save(path, np.load(path) + 1)
    assert torch.equal(remembered(pixels(0)), first + 1)


def test_networks_of_the_same_statistics_share_them(net: ProbeNet, tmp_path: Path) -> None:
    with torch.inference_mode():
        Remembered(net, tmp_path)(pixels(0))
        before = sorted(tmp_path.iterdir())
        Remembered(RichNet(), tmp_path)(pixels(0))
    assert sorted(tmp_path.iterdir()) == before


def test_a_heads_options_do_not_measure_anew(net: ProbeNet, tmp_path: Path) -> None:
    narrow = ProbeNet(ProbeConfig(mean=(1,), deviation=(), rich=True, fused=8)).eval()
    narrow.statistics.load_state_dict(net.statistics.state_dict())
    with torch.inference_mode():
        Remembered(net, tmp_path)(pixels(0))
        before = sorted(tmp_path.iterdir())
        values = Remembered(narrow, tmp_path)(pixels(0))
        assert sorted(tmp_path.iterdir()) == before
        expected = narrow(pixels(0), pixels(0)).logit
        torch.testing.assert_close(narrow.head(values).logit, expected, rtol=1e-4, atol=1e-4)


def test_pictures_are_measured_in_their_order(net: ProbeNet) -> None:
    many = torch.cat([pixels(seed) for seed in range(5)])
    (source, *_), crew = net.sources(), Crew("cpu")
    found = measured(source, many, crew)
    with torch.inference_mode():
        torch.testing.assert_close(found, source.measure(many), rtol=1e-4, atol=1e-4)


def test_pairs_are_joined_from_their_parts_in_order() -> None:
    rng = np.random.default_rng(0)
    draws = [
        [rng.normal(size=(n, 2, width)).astype(np.float16) for width in (3, 2)] for n in (4, 1)
    ]
    pairs = StatisticsPairs(draws)
    assert len(pairs) == 5
    for index, (draw, row) in enumerate([(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]):
        item = pairs[index]
        joined = np.concatenate([draws[draw][0][row], draws[draw][1][row]], axis=1)
        np.testing.assert_array_equal(item["statistics"].numpy(), joined.astype(np.float32))
        assert item["label"].tolist() == [0, 1]
    mean, deviation = pairs.moments(every=1)
    whole = np.concatenate([np.concatenate(parts, axis=2) for parts in draws]).reshape(-1, 5)
    np.testing.assert_allclose(mean, whole.astype(np.float32).mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deviation, whole.astype(np.float32).std(0, ddof=1), rtol=1e-3)


def test_they_are_of_the_training_window_and_the_stored_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = ProbeNet()
    seen: list[InputSpec] = []

    def drawn(net: ProbeNet, crops: object, spec: InputSpec, *_: object, **__: object) -> object:
        assert all(torch.equal(p, p.half().float()) for p in net.statistics.parameters())
        seen.append(spec)
        return StatisticsPairs([[np.random.default_rng(0).random((8, 2, 5), np.float32)]])

    monkeypatch.setattr(feeds, "training_statistics", drawn)
    monkeypatch.setattr(feeds, "fixed_scorer", lambda *_: None)
    monkeypatch.setattr(model, "standardise_to", lambda *_: None)
    config = TrainConfig.model_validate({"name": "a", "model": "probe", "data": {"window": 96}})
    _, _, window = feeds.feeds(model, None, MODELS["probe"], config, tmp_path, [], print)  # type: ignore[arg-type]
    assert [spec.native_size for spec in seen] == [96]
    assert window == seen[0]


@pytest.mark.parametrize("name", ["codec_p", "damage_p"])
def test_what_pairs_go_through_is_what_the_configuration_says(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In steps and in statistics drawn ahead, which are then drawn anew."""
    seen: list[PairSettings] = []
    monkeypatch.setattr(feeds, "TrainingPairs", lambda *args, **_: seen.append(args[2]))
    config = TrainConfig.model_validate({"name": "a", "data": {name: 0.3}})
    feeds.feeds(torch.nn.Linear(1, 1), None, MODELS["xception"], config, tmp_path, [], print)  # type: ignore[arg-type]
    assert seen[0].laundering == replace(LaunderingPolicy(), **{name: 0.3})

    class Pictures:
        def where(self, _: object) -> list[int]:
            return []

        def digest(self, _: list[int]) -> str:
            return "the same"

    def written(path: Path, *_: object) -> None:
        np.save(path, np.zeros((2, 2, 5), np.float32))

    monkeypatch.setattr(statistics, "_write", written)
    for share in (0.0, 0.3, 0.3):
        data = DataConfig.model_validate({"families": {"self_blend": 1}, "draws": 1, name: share})
        statistics.training_statistics(
            RichNet(),
            Pictures(),  # type: ignore[arg-type]
            MODELS["rich"].input,
            data,
            seed=0,
            cache=tmp_path,
            say=print,
        )
    assert len(list(tmp_path.glob("statistics-*.npy"))) == 2
