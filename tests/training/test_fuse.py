"""Trained weights put together: through the command, on one scale, and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from unmask.apps.cli import app
from unmask.data.crops import prepare_crops
from unmask.data.items import read_items
from unmask.data.scoring import DAILY, scoring_sets
from unmask.errors import ConfigError
from unmask.inference.detector import Detector
from unmask.models.checkpoint import Card, load_checkpoint, predict, save_checkpoint
from unmask.models.ensemble import Ensemble
from unmask.models.registry import MODELS
from unmask.training.card import families_of
from unmask.training.config import load_config
from unmask.training.erasure import erase_sources
from unmask.training.fuse import fuse, fuse_on
from unmask.training.members import Member, on_one_scale
from unmask.training.module import score_sets
from unmask.training.run import train
from unmask.transforms.preprocess import to_tensors, to_views

FAMILIES = {"self_blend": 1, "blurrer": 1, "reupsample": 1}
"""The last is one that no member was trained on."""
SIDE = {"native_size": 96, "native_limit": 1.4}
OPTIM = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3}
PARTS: dict[str, dict[str, Any]] = {
    "part-frequency": {
        "model": "airl_small_frequency",
        "model_options": {"frequency_channels": [8, 8], "fused": 8, "projection": 8},
        "data": {**SIDE, "workers": 0, "families": {"blurrer": 1}},
    },
    "part-rich": {
        "model": "rich",
        "model_options": {"fused": 8, "projection": 8},
        "data": {**SIDE, "draws": 1, "workers": 0, "families": {"self_blend": 1}},
    },
}
EXPERT = {**PARTS["part-rich"], "name": "part-expert"}
EXPERT["data"] = {**EXPERT["data"], "families": {"blurrer": 1}}
HELD_BACK = ("--margin", "0.5", "--slope", "1.5")
WHOLE = {"name": "whole", "model": "ensemble", "data": {"families": FAMILIES}}


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def members(runs: Path, index: Path) -> list[Path]:
    return [
        train(written(runs, {"name": name, **part, "optim": OPTIM}), out=runs / name, index=index)
        for name, part in PARTS.items()
    ]


def made(runs: Path, index: Path, name: str, members: list[Path], *more: str) -> Path:
    """By the command."""
    config = written(runs, {**WHOLE, "name": name})
    words = ["fuse", str(config), "--index", str(index), "--out", str(runs / name), *more]
    for path in members:
        words += ["--member", str(path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def fused(runs: Path, index: Path, members: list[Path]) -> Path:
    return made(runs, index, "whole", members)


def test_it_scores_as_the_mean_of_its_members_on_one_scale(
    fused: Path, members: list[Path], runs: Path, index: Path
) -> None:
    model, card = load_checkpoint(fused)
    crops = prepare_crops(read_items(index), runs / "cache")
    sets = scoring_sets(crops, card.input, "val", forged=True, controls={})
    found = score_sets(model, sets, card.input)
    alone = [score_sets(load_checkpoint(path)[0], sets, card.input) for path in members]
    reals = [scores["real"][0] for scores in alone]
    for name, (logits, _) in found.items():
        standard = [
            (scores[name][0] - mine.mean()) / mine.std()
            for scores, mine in zip(alone, reals, strict=True)
        ]
        expected = np.mean(standard, axis=0) * reals[0].std() + reals[0].mean()
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_the_card_says_what_it_is_made_of(fused: Path, members: list[Path]) -> None:
    _, card = load_checkpoint(fused)
    cards = [load_checkpoint(path)[1] for path in members]
    assert card.decision is not None
    assert card.parameters == sum(one.parameters for one in cards)
    told = card.training["members"]
    assert [one["weights_sha256"] for one in told] == [one.weights_sha256 for one in cards]
    assert [one["training"] for one in told] == [one.training for one in cards]
    assert [one["share"] for one in told] == [1, 1]
    assert card.summary == "a weighted mean of airl_small_frequency, rich"
    assert [one["families"] for one in told] == [["blurrer"], ["self_blend"]]
    told = card.training["configuration"]
    assert list(told) == ["data", "optim"]
    assert told["optim"] == {"erase_sources": False}
    assert card.training["command"].endswith(
        "--member part-frequency.safetensors --member part-rich.safetensors"
    )
    families = card.metrics["families"]
    assert set(families) >= set(FAMILIES)
    known = {name for name, entry in families.items() if entry["trained_on"]}
    assert known == {"blurrer", "self_blend"}
    assert families_of(card) == known


def test_it_scans_as_it_was_measured(fused: Path, runs: Path, index: Path) -> None:
    result = Detector.from_pretrained(fused).scan(index.parent / "000.png")
    assert result.status == "scored"
    model, card = load_checkpoint(fused)
    crops = prepare_crops(read_items(index), runs / "cache")
    (number,) = crops.where(lambda item: item.path.name == "000.png")
    picture = crops.image(number)
    logit, _ = predict(model, to_tensors([to_views(picture, card.input)], card.input))
    assert result.score == pytest.approx(1 / (1 + np.exp(-logit[0])), abs=1e-4)


def test_without_a_decision_the_weights_are_the_same(
    fused: Path, members: list[Path], runs: Path, index: Path
) -> None:
    crops = prepare_crops(read_items(index), runs / "cache")
    config = load_config(runs / "whole.yaml")
    loaded = [Member(*load_checkpoint(path)) for path in members]
    path = fuse_on(config, loaded, crops, out=runs / "bare", command="a", decide=False)
    (bare, card), (whole, _) = load_checkpoint(path), load_checkpoint(fused)
    assert card.decision is None
    for name, tensor in bare.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name]), name


def test_members_may_be_ensembles(
    fused: Path, members: list[Path], runs: Path, index: Path
) -> None:
    nested = fuse(
        written(runs, {**WHOLE, "name": "nested"}),
        [fused, members[0]],
        out=runs / "nested",
        shares=[3.0, 1.0],
        index=index,
    )
    model, card = load_checkpoint(nested)
    assert families_of(card) == {"blurrer", "self_blend"}
    assert card.training["command"].endswith("--share 3 --share 1")
    assert isinstance(model, Ensemble)
    assert isinstance(model.members[0], Ensemble)


@pytest.fixture(scope="module")
def expert(runs: Path, index: Path) -> Path:
    return train(written(runs, {**EXPERT, "optim": OPTIM}), out=runs / "part-expert", index=index)


@pytest.fixture(scope="module")
def raised(runs: Path, index: Path, members: list[Path], expert: Path) -> Path:
    return made(runs, index, "raised", members, "--expert", str(expert), *HELD_BACK)


def test_an_expert_is_heard_past_its_margin(
    raised: Path, fused: Path, expert: Path, runs: Path, index: Path
) -> None:
    model, card = load_checkpoint(raised)
    crops = prepare_crops(read_items(index), runs / "cache")
    sets = scoring_sets(crops, card.input, "val", forged=True, controls={})
    found, mean, alone = (
        score_sets(network, sets, card.input)
        for network in (model, load_checkpoint(fused)[0], load_checkpoint(expert)[0])
    )
    reals, mine = mean["real"][0], alone["real"][0]
    heard = 0
    for name, (logits, _) in found.items():
        standard = 1.5 * (alone[name][0] - mine.mean()) / mine.std() - 0.5
        more = standard * reals.std() + reals.mean()
        expected = np.maximum(mean[name][0], more)
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
        heard += int((more > mean[name][0]).sum())
    assert 0 < heard < sum(len(logits) for logits, _ in found.values())


def test_the_card_tells_of_the_expert(raised: Path, expert: Path) -> None:
    _, card = load_checkpoint(raised)
    assert card.config["members"][2]["statistics_of"] == 1  # as the other rich one: kept once
    assert card.config["members"][2]["expert"]
    told = card.training["members"][2]
    assert (told["margin"], told["slope"]) == (0.5, 1.5)
    assert "share" not in told
    assert told["weights_sha256"] == load_checkpoint(expert)[1].weights_sha256
    assert card.summary.endswith("rich, or an expert where it sees more: rich")
    assert card.training["command"].endswith(
        "--expert part-expert.safetensors --margin 0.5 --slope 1.5"
    )


def test_an_expert_raises_no_source_more_than_another(
    members: list[Path], expert: Path, runs: Path, index: Path
) -> None:
    """Every second real is another source's, and no logit knows which: but the greater of two."""
    crops = prepare_crops(read_items(index), runs / "cache")
    crops = replace(
        crops,
        items=[replace(item, source=f"tests-{n % 2}") for n, item in enumerate(crops.items)],
    ).only(lambda item: item.split == "val")
    looks_at = load_checkpoint(expert)[1].input
    reals = [one for one in scoring_sets(crops, looks_at, "val", controls=DAILY) if not one.label]
    sources = np.array([source for item in reals for source in item.sources])
    config = load_config(written(runs, {**WHOLE, "name": "even"}))
    apart = {}
    for erase in (False, True):
        optim = config.optim.model_copy(update={"erase_sources": erase})
        parts = [Member(*load_checkpoint(path)) for path in members]
        parts.append(Member(*load_checkpoint(expert), margin=0.1, slope=2))
        for part in parts:
            erase_sources(part.network, reals, looks_at)
        path = fuse_on(
            config.model_copy(update={"optim": optim}),
            parts,
            crops,
            out=runs / f"even-{erase}",
            command="",
            decide=False,
        )
        found = score_sets(load_checkpoint(path)[0], reals, looks_at)
        logits = np.concatenate([found[item.name][0] for item in reals])
        means = [logits[sources == name].mean() for name in ("tests-0", "tests-1")]
        apart[erase] = float(np.ptp(means) / logits.std())
    assert apart[True] < 0.1 * apart[False]


def test_sources_cannot_be_erased_from_a_member_without_a_linear_logit(
    fused: Path, expert: Path, runs: Path, index: Path, tmp_path: Path
) -> None:
    crops = prepare_crops(read_items(index), runs / "cache")
    config = load_config(written(tmp_path, {**WHOLE, "optim": {"erase_sources": True}}))
    parts = [Member(*load_checkpoint(fused)), Member(*load_checkpoint(expert), margin=0.5)]
    with pytest.raises(ConfigError, match="no linear layer"):
        fuse_on(config, parts, crops, out=tmp_path, command="", decide=False)
    assert not list(tmp_path.glob("*.safetensors"))


def test_shares_count() -> None:
    rng = np.random.default_rng(0)
    reals = [rng.normal(1, 2, 50), rng.normal(-3, 0.5, 50)]
    weights, bias = on_one_scale(reals, [3, 1])
    mean = weights[0] * reals[0] + weights[1] * reals[1] + bias
    standard = [(r - r.mean()) / r.std() for r in reals]
    expected = (0.75 * standard[0] + 0.25 * standard[1]) * reals[0].std() + reals[0].mean()
    np.testing.assert_allclose(mean, expected)


def test_what_cannot_be_fused_is_refused(
    members: list[Path], runs: Path, index: Path, tmp_path: Path
) -> None:
    whole = written(tmp_path, WHOLE)

    def refused(config: Path, paths: list[Path], match: str, **options: Any) -> None:
        with pytest.raises(ConfigError, match=match):
            fuse(config, paths, out=tmp_path / "out", index=index, **options)
        assert not (tmp_path / "out").exists()

    refused(whole, members[:1], "An ensemble needs different networks")
    refused(whole, [members[0], members[0]], "part-frequency, part-frequency")
    refused(whole, members, "shares 1 are not", shares=[1.0])
    refused(whole, members, "shares 1, 0 are not", shares=[1.0, 0.0])
    refused(whole, members, "shares nan, 1 are not", shares=[float("nan"), 1.0])
    refused(whole, members, "margins 1 are not .* 0 experts", margins=[1.0])
    refused(whole, members[:1], "margins -1 are not", experts=members[1:], margins=[-1.0])
    refused(whole, members[:1], "slopes 1, 2 are not", experts=members[1:], slopes=[1.0, 2.0])
    refused(whole, members[:1], "part-frequency, part-frequency", experts=members[:1])
    refused(runs / "part-rich.yaml", members, "unmask train")
    odd = written(tmp_path, {**WHOLE, "name": "odd", "start": "earlier.safetensors"})
    refused(odd, members, "start is for networks")
    lacking = {**WHOLE, "name": "lacking", "data": {"families": {"nobody": 1}}}
    refused(written(tmp_path, lacking), members, "no validation fakes of nobody")
    card = load_checkpoint(members[0])[1]
    torch.manual_seed(0)
    narrow = Card(
        name="narrow",
        architecture="meso4",
        config={},
        input=card.input.model_copy(update={"native_size": 64}),
        licence="theirs",
    )
    save_checkpoint(tmp_path / "narrow.safetensors", MODELS["meso4"].create(), narrow)
    other = [members[0], tmp_path / "narrow.safetensors"]
    refused(whole, other, r"a licence \(theirs\)")
    licensed = written(tmp_path, {**WHOLE, "name": "licensed", "licence": "theirs"})
    refused(licensed, other, "narrow and part-frequency look at different pictures")
    itself = written(tmp_path, {**WHOLE, "name": members[0].stem})
    with pytest.raises(ConfigError, match="is a member"):
        fuse(itself, members, out=members[0].parent, index=index)


def test_a_member_that_says_one_thing_only_is_refused(
    members: list[Path], runs: Path, index: Path
) -> None:
    network, card = load_checkpoint(members[0])
    torch.nn.init.zeros_(network.logit.weight)  # type: ignore[union-attr, arg-type]
    silent = runs / "silent.safetensors"
    save_checkpoint(silent, network, card.model_copy(update={"name": "silent"}))
    with pytest.raises(ConfigError, match="silent gives all reals one score"):
        fuse(runs / "whole.yaml", [members[0], silent], out=runs / "none", index=index)


def test_an_ensemble_is_not_trained(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unmask fuse"):
        train(written(tmp_path, WHOLE), out=tmp_path / "out", index=index)
