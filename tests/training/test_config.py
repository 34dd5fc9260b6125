"""Configurations that cannot work are refused before anything is loaded, by field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.training.conftest import CONFIGS

from unmask.errors import ConfigError
from unmask.models.registry import model_spec
from unmask.training.config import load_config, with_overrides
from unmask.training.network import sized

GOOD = {"name": "a", "model": "airl_small", "data": {"index": "x.csv"}}


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_configuration_loads(path: Path) -> None:
    config = load_config(path)
    assert config.name == ("unmask-default" if path.stem == "default" else config.name)


def test_the_defaults_parts_are_trained_on_the_same() -> None:
    folder = Path(__file__).parents[2] / "configs"
    names = ("default_first", "default_second", "default_third")
    names += ("default_probe", "default_expert", "default")
    first, second, third, probe, expert, whole = (
        load_config(folder / f"{name}.yaml") for name in names
    )
    worse = ("damage_p", "codec_p")
    for earlier, later in ((first, second), (second, third)):
        changed = {name: getattr(later.data, name) for name in ("window", "repeats", *worse)}
        assert earlier.data.model_copy(update=changed) == later.data
        assert (earlier.model, earlier.seed) == (later.model, later.seed)
    for_heads = {"native_size", "native_limit"}
    no_part = {"window", "repeats", "soften_real_p", "ramp_epochs", *worse}
    # in a head in closed form
    of_probe, of_second = (
        part.data.model_dump(exclude=for_heads | no_part) for part in (probe, second)
    )
    assert of_probe == of_second
    assert probe.optim.discriminant is not None
    assert expert.optim.discriminant is not None
    as_they_are = expert.optim.discriminant.model_copy(update={"under": {}})
    assert expert.optim.model_copy(update={"discriminant": as_they_are}) == probe.optim
    own = {"families": probe.data.families}
    assert expert.data.model_copy(update=own) == probe.data
    scores = {"kinds": len(probe.data.families)}  # one for each family; the expert has but one
    assert probe.model_options == expert.model_options | scores
    assert expert.model == probe.model
    assert not set(expert.data.families) & set(probe.data.families)
    assert {*expert.data.families, *probe.data.families} == set(whole.data.families)
    looks_at = sized(model_spec(probe.model), probe).input
    assert looks_at.native_size == model_spec(second.model).input.native_size
    assert looks_at.native_limit == model_spec(second.model).input.native_limit
    licences = {part.licence for part in (first, second, third, expert)}
    assert licences == {whole.licence}  # that of the strictest part
    for part in (first, second, third, probe):
        assert part.data.families.items() <= whole.data.families.items()
        assert part.data.beside == whole.data.beside
        assert part.data.forged == whole.data.forged


def test_left_out_configurations_differ_from_the_default_in_families_alone() -> None:
    folder = Path(__file__).parents[2] / "configs"
    default, last = (load_config(folder / f"default_{run}.yaml") for run in ("first", "third"))
    left_out = [path for path in CONFIGS if path.parent.name == "left_out"]
    lacking: list[str] = []
    for path in left_out:
        config = load_config(path)
        assert config.data.families.items() <= default.data.families.items()
        lacking += set(default.data.families) - set(config.data.families)
        worse = ("damage_p", "codec_p")  # in the one run that they have
        assert [getattr(config.data, p) for p in worse] == [getattr(last.data, p) for p in worse]
        same = {name: getattr(default.data, name) for name in ("families", *worse)}
        assert config.data.model_copy(update=same) == default.data
        assert config.optim == default.optim
        assert (config.model, config.seed) == (default.model, default.seed)
    assert sorted(lacking) == sorted(default.data.families)  # each is left out once


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, GOOD)).data.index == tmp_path / "x.csv"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "resnet"}, "No network is called 'resnet'"),
        ({"model_options": {"fussed": 3}}, "fussed"),
        ({"optim": {"batch_size": 7}}, "batch_size must be even"),
        ({"optim": {"learning_rate": 0}}, "optim.learning_rate"),
        ({"optim": {"precision": "8"}}, "optim.precision"),
        ({"optim": {"optimizer": "lion"}}, "optim.optimizer"),
        ({"optim": {"batch_size": 12, "accumulate": 4}}, "batch_size: 12 .* multiple of 8"),
        ({"optim": {"batch_size": 2}}, "contrastive_weight"),
        ({"optim": {"batch_size": 8, "accumulate": 4}}, "contrastive_weight"),
        ({"optim": {"epochs": 3, "warmup_epochs": 3}}, "warmup_epochs: 3 are not fewer"),
        ({"optim": {"loss": "am_softmax"}}, r"optim\.loss: am_softmax needs .*srm"),
        ({"optim": {"optimizer": "sam", "precision": "16-mixed"}}, r"optim\.precision: 16-mixed"),
        (
            {"optim": {"attention_weight": 1}},
            r"attention_weight: airl_small has no attention map; add .*attention: regress",
        ),
        (
            {"model": "xception", "optim": {"attention_weight": 1}},
            "attention_weight needs an AIRL network .* not xception",
        ),
        (
            {"model": "airl_small_frequency", "optim": {"attention_weight": 1}},
            "attention map is of the RGB stream, which airl_small_frequency does not have",
        ),
        (
            {"model": "airl_small_frequency", "model_options": {"attention": "gate"}},
            "attention='gate' looks at the RGB stream, but rgb is None",
        ),
        ({"model_options": {"attention": "regress"}}, "only the attention loss trains the map"),
        ({"optim": {"attention_weight": -1}}, r"optim\.attention_weight"),
        ({"select_on": ["stylegan"]}, "would leak the test"),
        ({"data": {"families": {"self_blend": -1}}}, "data.families.self_blend"),
        ({"naem": "b"}, "naem"),
    ],
)
def test_what_cannot_work_names_its_field(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(written(tmp_path, GOOD | change))


def test_small_batches_work_without_the_contrastive_loss(tmp_path: Path) -> None:
    optim = {"batch_size": 8, "accumulate": 4, "contrastive_weight": 0}
    assert load_config(written(tmp_path, GOOD | {"optim": optim})).optim.accumulate == 4


def test_broken_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no configuration"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "bad.yaml")


def test_an_index_must_come_from_somewhere(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD | {"data": {}}))
    with pytest.raises(ConfigError, match="Give --index"):
        with_overrides(config)
    given = with_overrides(config, index=tmp_path / "y.csv", pretrained=False)
    assert (given.data.index, given.pretrained) == (tmp_path / "y.csv", False)


@pytest.mark.parametrize(("attention", "weight"), [("regress", 1), ("gate", 0.5), ("gate", 0)])
def test_a_map_is_trained_by_its_loss_or_as_a_gate(
    tmp_path: Path, attention: str, weight: float
) -> None:
    change = {"model_options": {"attention": attention}, "optim": {"attention_weight": weight}}
    assert load_config(written(tmp_path, GOOD | change)).optim.attention_weight == weight
    assert load_config(written(tmp_path, GOOD)).optim.attention_weight == 0
