"""Training end to end, small: through the command, resumed, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner

from unmask.apps.cli import app
from unmask.data.crops import prepare_crops
from unmask.data.items import read_items
from unmask.errors import ConfigError
from unmask.inference.detector import Detector
from unmask.models.checkpoint import load_checkpoint
from unmask.training.config import load_config
from unmask.training.module import DetectorModule
from unmask.training.run import train, train_on

NETWORK = {"frequency_channels": [8, 8], "fused": 8, "projection": 8}
FREQUENCY: dict[str, Any] = {
    "name": "tiny",
    "model": "airl_small_frequency",
    "model_options": NETWORK,
    "data": {"window": 64, "workers": 0, "families": {"self_blend": 1, "blurrer": 1}},
    "optim": {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3},
}
RICH: dict[str, Any] = {
    "name": "tiny-rich",
    "model": "rich",
    "model_options": {"fused": 8, "projection": 8},
    "data": {"draws": 2, "workers": 0, "families": {"self_blend": 1, "reupsample": 0.5}},
    "optim": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3},
}


def config(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module", params=[FREQUENCY, RICH], ids=["network", "statistics"])
def trained(
    request: pytest.FixtureRequest, runs: Path, index: Path
) -> tuple[dict[str, Any], Path, Path]:
    """(configuration, its file, weights) of an uninterrupted run by the command."""
    path = config(runs, request.param)
    words = ["train", str(path), "--index", str(index), "--out", str(runs / path.stem)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return request.param, path, Path(done.stdout.strip())


def test_the_card_says_what_was_done(trained: tuple[dict[str, Any], Path, Path]) -> None:
    content, _, weights = trained
    _, card = load_checkpoint(weights)
    assert card.name == content["name"]
    assert card.training["configuration"]["data"]["families"] == content["data"]["families"]
    assert card.training["items"]["val/tests/real"] == 22
    families = card.metrics["families"]
    assert {name for name, entry in families.items() if entry["trained_on"]} == set(
        content["data"]["families"]
    )
    assert all(0 <= entry["auc"] <= 1 for entry in families.values())
    decision = card.decision
    assert decision is not None
    assert 0 <= decision.clear <= decision.flag <= 1
    assert decision.fpr_at_flag <= 0.01


def test_what_was_trained_can_scan(trained: tuple[dict[str, Any], Path, Path], index: Path) -> None:
    result = Detector.from_pretrained(trained[2]).scan(index.parent / "000.png")
    assert result.status == "scored"


def test_the_log_has_every_epoch(trained: tuple[dict[str, Any], Path, Path]) -> None:
    log = (trained[2].parent / "logs/version_0/metrics.csv").read_text()
    assert "val/auc" in log
    assert "train/contrastive" in log


def test_a_killed_run_resumes_to_the_same_weights(
    trained: tuple[dict[str, Any], Path, Path],
    runs: Path,
    index: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, path, weights = trained

    def die(module: DetectorModule) -> None:
        if module.current_epoch == 1:
            raise RuntimeError("killed")

    out = runs / f"{content['name']}-killed"
    with monkeypatch.context() as patch:
        patch.setattr(DetectorModule, "on_train_epoch_end", die)
        with pytest.raises(RuntimeError, match="killed"):
            train(path, out=out, index=index)
    with pytest.raises(ConfigError, match="already holds a run"):
        train(path, out=out, index=index)
    resumed = train(path, out=out, index=index, resume=True)
    before, after = load_checkpoint(weights)[0].state_dict(), load_checkpoint(resumed)[0]
    for name, tensor in after.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_last_epoch_is_kept_whether_or_not_it_is_the_best(
    trained: tuple[dict[str, Any], Path, Path],
) -> None:
    state = torch.load(trained[2].parent / "last.ckpt", weights_only=False)
    assert state["epoch"] == trained[0]["optim"]["epochs"] - 1


def test_what_was_measured_is_what_was_stored(
    trained: tuple[dict[str, Any], Path, Path],
) -> None:
    model, _ = load_checkpoint(trained[2])
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, parameter.half().float()), name


def test_averaged_weights_are_what_is_kept(index: Path, runs: Path, tmp_path: Path) -> None:
    optim = {**FREQUENCY["optim"], "ema": 0.9}
    averaged = train(
        config(tmp_path, {**FREQUENCY, "name": "ema", "optim": optim}),
        out=runs / "ema",
        index=index,
    )
    plain = train(config(tmp_path, {**FREQUENCY, "name": "plain"}), out=runs / "plain", index=index)
    one, other = (load_checkpoint(path)[0].state_dict() for path in (averaged, plain))
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_are_those_of_the_epoch_that_is_to_be_kept(
    keep: str, index: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation says that the first of two epochs was the better one."""
    grades = iter([0.9, 0.1])
    monkeypatch.setattr(
        "unmask.training.module.family_aucs",
        lambda *_: dict.fromkeys(FREQUENCY["data"]["families"], next(grades)),
    )
    optim = {**FREQUENCY["optim"], "keep": keep}
    settings = load_config(config(runs, {**FREQUENCY, "name": f"keep-{keep}", "optim": optim}))
    out = runs / settings.name
    weights = train_on(
        settings,
        prepare_crops(read_items(index), runs / "cache"),
        out=out,
        cache=runs / "cache",
        command="",
        keep_every_epoch=True,
    )
    epoch = {"best": 0, "last": 1}[keep]
    kept = torch.load(out / f"epochs/epoch={epoch}.ckpt", weights_only=False)["state_dict"]
    for name, parameter in load_checkpoint(weights)[0].named_parameters():
        assert torch.equal(parameter, kept[f"model.{name}"].half().float()), name


def test_resuming_another_configuration_is_refused(
    trained: tuple[dict[str, Any], Path, Path], index: Path, tmp_path: Path
) -> None:
    content, _, weights = trained
    other = config(tmp_path, {**content, "seed": 5})
    with pytest.raises(ConfigError, match="another configuration"):
        train(other, out=weights.parent, index=index, resume=True)


def test_families_that_are_not_there_are_refused(index: Path, runs: Path, tmp_path: Path) -> None:
    wrong = {**FREQUENCY, "data": {**FREQUENCY["data"], "families": {"stylegan": 1}}}
    with pytest.raises(ConfigError, match="No training items for stylegan") as error:
        train(config(tmp_path, wrong), out=runs / "wrong", index=index)
    assert "blurrer" in str(error.value)


def test_fakes_of_another_index_are_trained_with(index: Path, runs: Path, tmp_path: Path) -> None:
    rows = index.read_text().splitlines()
    alone = index.parent / "reals.csv"
    alone.write_text("\n".join([rows[0], *(row for row in rows[1:] if ",blurrer," not in row)]))
    path = config(tmp_path, {**FREQUENCY, "name": "apart"})
    words = ["train", str(path), "--index", str(alone), "--out", str(runs / "apart")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == ConfigError.exit_code
    assert "No training items for blurrer" in done.stderr
    fakes = ["--resume", "--fakes", f"blurrer={index}"]
    done = CliRunner().invoke(app, [*words, *fakes])
    assert done.exit_code == 0, done.output
    card = load_checkpoint(Path(done.stdout.strip()))[1]
    assert card.training["items"]["train/blurred/fake"] == 3
    assert card.training["items"]["train/tests/real"] == 8  # not twice
    assert "--fakes blurrer=INDEX.csv" in card.training["command"]


def test_a_run_goes_on_from_the_weights_of_another(
    trained: tuple[dict[str, Any], Path, Path], index: Path, runs: Path, tmp_path: Path
) -> None:
    content, _, weights = trained
    still = {**content["optim"], "epochs": 1, "learning_rate": 1e-12}
    fewer = {**content["data"], "families": {"self_blend": 1}}
    path = config(
        tmp_path, {**content, "name": f"on-{content['name']}", "data": fewer, "optim": still}
    )
    words = ["train", str(path), "--index", str(index), "--out", str(runs / f"on-{path.stem}")]
    done = CliRunner().invoke(app, [*words, "--start", str(weights)])
    assert done.exit_code == 0, done.output
    before = load_checkpoint(weights)
    after, card = load_checkpoint(Path(done.stdout.strip()))
    for name, parameter in after.named_parameters():
        assert torch.allclose(parameter, dict(before[0].named_parameters())[name], atol=1e-6), name
    families = sorted(content["data"]["families"])
    assert card.training["started_from"] == {
        "name": content["name"], "weights_sha256": before[1].weights_sha256, "families": families
    }  # fmt: skip
    told = card.metrics["families"]
    assert {name for name, entry in told.items() if entry["trained_on"]} == set(families) & set(
        told
    )
    assert f"--start {weights.name}" in card.training["command"]
    assert str(weights.parent) not in card.model_dump_json()


def test_the_kept_weights_are_an_average_with_those_of_the_start(
    index: Path, runs: Path, tmp_path: Path
) -> None:
    first = train(config(tmp_path, {**FREQUENCY, "name": "first"}), out=runs / "first", index=index)
    kept = {}
    for share in (0.0, 0.25):
        optim = {**FREQUENCY["optim"], "start_share": share}
        path = config(tmp_path, {**FREQUENCY, "name": f"share-{share}", "optim": optim})
        made = train(path, out=runs / path.stem, index=index, start=first)
        kept[share] = load_checkpoint(made)[0].state_dict()
    start = load_checkpoint(first)[0].state_dict()
    for name, tensor in kept[0.25].items():
        expected = tensor
        if tensor.is_floating_point():
            expected = 0.25 * start[name] + 0.75 * kept[0.0][name]
        assert torch.allclose(tensor, expected, atol=2e-3, rtol=2e-3), name  # stored as float16


def test_weights_of_another_network_are_no_start(
    index: Path, runs: Path, tmp_path: Path, trained: tuple[dict[str, Any], Path, Path]
) -> None:
    other = {**FREQUENCY, "name": "wider", "model_options": {**NETWORK, "fused": 16}}
    words = ["train", str(config(tmp_path, other)), "--index", str(index)]
    done = CliRunner().invoke(
        app, [*words, "--out", str(runs / "wider"), "--start", str(trained[2])]
    )
    assert done.exit_code == ConfigError.exit_code
    odd = {"rich": "is a network rich"}.get(trained[0]["model"], "other options: {'fused': 8}")
    assert odd in done.stderr
    done = CliRunner().invoke(app, [*words, "--out", str(runs / "wider"), "--start", "nothing"])
    assert done.exit_code == ConfigError.exit_code
    assert "There is no model 'nothing'" in done.stderr


def test_pretrained_without_a_hub_names_the_way_out(
    index: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # read from the environment once, when it is imported
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    b0 = {**FREQUENCY, "model": "airl_b0", "model_options": {}, "name": "b0"}
    words = ["train", str(config(tmp_path, b0)), "--index", str(index)]
    done = CliRunner().invoke(app, [*words, "--out", str(runs / "b0")])
    assert done.exit_code == 2
    assert "--no-pretrained" in done.stderr
    assert "--backbone-weights" in done.stderr


def test_the_runs_are_json_readable(trained: tuple[dict[str, Any], Path, Path]) -> None:
    kept = json.loads((trained[2].parent / "config.json").read_text())
    assert kept["name"] == trained[0]["name"]
