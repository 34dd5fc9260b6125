"""The page of a benchmark: every table of a result, whole, safe against names, readable."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from unmask.apps.report.comparison import PAGE, write_comparison
from unmask.errors import ConfigError
from unmask.evaluation.comparison.layout import ITEMS, SCORES
from unmask.evaluation.comparison.result import Result
from unmask.evaluation.comparison.scores import Board, Facts, Run
from unmask.evaluation.comparison.tables import compare
from unmask.evaluation.embedding import EmbeddingMap, embedding_map
from unmask.evaluation.spectra import GroupSpectrum, group_spectrum

EVIL = '<script>alert("1")</script>'
ARMS = ("xception", "dual stream", EVIL, "coin\u202eflip")
STRENGTH = dict(zip(ARMS, (1.2, 2.0, 1.0, 0.0), strict=True))
SEEN_KINDS = ("inpaint-telea", "blend")
UNSEEN_KINDS = ("warp-soft", "warp-hard", "gan")
PEOPLE = 40


def items() -> pl.DataFrame:
    """For every person, of two sources: two reals in all sets, one fake of every kind."""
    rows: list[dict[str, object]] = []
    for person in range(PEOPLE):
        for kind in ("", "", *SEEN_KINDS, *UNSEEN_KINDS):
            number = len(rows)
            sets = ["seen", "unseen", "stylegan"]
            if kind:
                sets = ["seen"] if kind in SEEN_KINDS else ["unseen"]
                sets += ["stylegan"] if kind == "gan" else []
            rows.append(
                {
                    "item": number,
                    "path": f"{number}.png",
                    "video_id": f"v{number}",
                    "frame": 0,
                    "label": int(bool(kind)),
                    "dataset": "made",
                    "manipulation": kind,
                    "family": kind.split("-")[0],
                    "source": ("ffhq", "video")[person % 2],
                    "cluster": f"p{person}",
                    "sets": sets,
                }
            )
    return pl.DataFrame(rows, schema=ITEMS)


def run(table: pl.DataFrame, arm: str, seed: int) -> Run:
    rng = np.random.default_rng([ARMS.index(arm), seed])
    fake = table["label"].to_numpy() == 1
    unseen = table["manipulation"].is_in(UNSEEN_KINDS).to_numpy()
    every = np.arange(table.height)
    swept = every[table["sets"].list.contains("unseen").to_numpy()][::2]
    clean = rng.normal(0, 1, table.height) + STRENGTH[arm] * fake * np.where(unseen, 0.7, 1.5)
    parts = [
        ("clean", every, clean),
        ("blur+jpeg", every, clean * 0.5 + rng.normal(0, 1, len(clean))),
    ]
    for name, by in (("re-encoded", 0.2), ("blurred", 0.9), ("grid-shifted", 0.0)):
        parts.append((f"control/{name}", every[~fake], clean[~fake] + by))
    if seed == 0:
        parts.append(("sweep/none/0", swept, clean[swept]))
        for name in ("jpeg", "gaussian_noise"):
            for level in range(1, 6):
                worse = clean[swept] * (1 - level / 6) + rng.normal(0, level / 4, len(swept))
                parts.append((f"sweep/{name}/{level}", swept, worse))
    scores = pl.concat(
        pl.DataFrame({"item": i, "condition": [c] * len(i), "logit": s}) for c, i, s in parts
    ).cast(SCORES)
    return Run(scores.sort("condition", "item"), facts(arm, seed))


def facts(arm: str, seed: int) -> Facts:
    digest = hashlib.sha256(f"{arm}{seed}".encode()).hexdigest()
    return Facts(
        arm=arm,
        seed=seed,
        threshold=1.6,
        val_auc=0.91,
        best_epoch=7,
        parameters=20_811_050,
        seconds=1234.5,
        config_sha256=digest,
        weights_sha256=digest[::-1],
    )


@pytest.fixture(scope="module")
def result() -> Result:
    table = items()
    keys = [(arm, seed) for arm in ARMS for seed in (0, 1, 2) if (arm, seed) != (ARMS[3], 2)]
    runs = {key: run(table, *key) for key in keys}
    files = {"items.parquet": "ab" * 32}
    board = Board(table, runs, ARMS, (0, 1, 2), "faces & <b>strangers</b>", files)
    return compare(board, reference="xception", draws=100)


@pytest.fixture(scope="module")
def embeddings() -> dict[str, EmbeddingMap]:
    rng = np.random.default_rng(0)
    groups = ["real"] * 80 + ["gan"] * 50 + [EVIL] * 1 + ["warp"] * 220
    centre = {"real": 0.0, "gan": 2.0, EVIL: -2.0, "warp": 0.8}
    maps = {}
    for arm in ARMS[:2]:
        x = rng.normal(size=(len(groups), 8))
        x[:, 0] += [3 * centre[g] for g in groups]
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        maps[arm] = embedding_map(x, groups)
    return maps


@pytest.fixture(scope="module")
def spectra() -> list[GroupSpectrum]:
    rng = np.random.default_rng(0)

    def pictures(grid: float) -> list[np.ndarray]:
        out = []
        for _ in range(4):
            plane = 128 + rng.normal(0, 12, (128, 128))
            plane[::2, ::2] += grid
            out.append(np.clip(plane, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2))
        return out

    kinds = (("real", 0.0), ("gan", 30.0), (EVIL, 10.0))
    return [group_spectrum(name, pictures(grid)) for name, grid in kinds]


def written(
    out: Path, result: Result, embeddings: dict[str, EmbeddingMap], spectra: list[GroupSpectrum]
) -> Path:
    runs = [facts(c.arm, c.seed) for c in result.coverage]
    return write_comparison(
        result,
        out,
        embeddings=embeddings,
        spectra=spectra,
        runs=runs,
        budget={"Epochs": "20", "Pictures per class": "4,000"},
    )


@pytest.fixture(scope="module")
def path(
    tmp_path_factory: pytest.TempPathFactory,
    result: Result,
    embeddings: dict[str, EmbeddingMap],
    spectra: list[GroupSpectrum],
) -> Path:
    return written(tmp_path_factory.mktemp("page") / "out", result, embeddings, spectra)


@pytest.fixture
def page(build, path: Path):
    return build.page.of(path)


def told(path: Path) -> str:
    """All text with single spaces, those between cells too."""
    source = re.sub(r"<style>.*?</style>", "", path.read_text("utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", source)).split())


def shown(estimate) -> str:
    """Three decimals with the interval, spelled out independently of the page."""
    value, low, high = (
        f"{v:.3f}".replace("-0.000", "0.000").replace("-", "−")
        for v in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def test_every_number_of_the_main_tables_is_there(path: Path, result: Result) -> None:
    text = told(path)
    numbers = [c.mean for row in result.main for c in (*row.auc.values(), *row.drop.values())]
    numbers += [
        e for row in (*result.generators.rows, *result.sources.rows) for e in row.auc.values()
    ]
    numbers += [e for row in result.controls for e in (row.clean_fpr, row.fpr, row.auc)]
    numbers += [e for row in result.blur_jpeg for e in (row.clean, row.changed, row.drop)]
    numbers += [row.auc for row in (*result.sweep.rows, *result.sweep.means)]
    numbers += [row.brier for row in result.metrics]
    assert len(numbers) > 150
    assert [e for e in numbers if shown(e) not in text] == []
    for row in result.comparisons.rows:
        assert f"{row.p_holm:.3f} {row.verdict}" in text


def test_the_best_is_marked_in_words_and_shape(page, path: Path, result: Result) -> None:
    best = max(result.main, key=lambda row: row.auc["unseen"].mean.value)
    assert best.arm == "dual stream"
    assert f"best {shown(best.auc['unseen'].mean)}" in told(path)
    uses = [a for a in page.all("use") if a.get("href") == "#best"]
    assert len(uses) == told(path).count("best 0.")


def test_names_cannot_become_markup(page) -> None:
    assert page.all("script") == []
    assert page.all("b") == []
    assert page.text.count(EVIL) > 20
    assert "faces & <b>strangers</b>" in page.text
    assert "coin\\u202eflip" in page.text
    assert "\u202e" not in page.text
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    assert not [attrs for _, attrs in page.tags if "style" in attrs]


def test_every_figure_has_its_numbers_as_a_table(path: Path) -> None:
    source = path.read_text("utf-8")
    # pictures have a figure each inside the figure of their group; that one holds the table
    whole = re.split(r'<figure>\n<ul class="(?:legend|prints)">', source)[1:]
    assert len(whole) == 6
    for one in whole:
        inside = one[: one.index("</details>")]
        assert "<details><summary>The " in inside
        assert "<table" in inside[inside.index("<details>") :]
    labels = re.findall(r'<svg viewBox="0 0 360[^>]*role="img" aria-label="([^"]*)"', source)
    assert len(labels) == 2 + 2 + 2 + 2
    assert len(set(labels)) == len(labels)


def test_tables_have_headings_and_can_be_scrolled_by_keyboard(page) -> None:
    tables = page.all("table")
    assert len(tables) > 25
    assert all(text.strip() for text in page.inside["caption"])
    assert len(page.inside["caption"]) == len(tables)
    regions = [a for a in page.all("div") if a.get("class") == "scroll"]
    assert len(regions) == len(tables)
    assert all(r["tabindex"] == "0" and r["aria-label"] for r in regions)
    assert {a.get("scope") for a in page.all("th")} == {"col", "row"}


def test_nothing_is_loaded_from_elsewhere(page, path: Path) -> None:
    source = path.read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\((?!#)", source)
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {t for t, _ in page.tags}
    assert all((a["src"] or "").startswith("data:image/png;base64,") for a in page.all("img"))
    assert all((a.get("href") or "").startswith("#") for a in page.all("a") + page.all("use"))


def test_the_policy_allows_the_inline_style_and_nothing_else(page) -> None:
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(page.inside["style"][0].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_links_ids_and_both_colour_schemes(page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {(a["href"] or "")[1:] for a in page.all("a") + page.all("use")} <= set(page.ids)
    assert {m.get("name"): m.get("content") for m in page.all("meta")}[
        "color-scheme"
    ] == "light dark"
    assert "prefers-color-scheme: dark" in page.inside["style"][0]


def test_absent_runs_are_said_first_and_listed(path: Path) -> None:
    text = told(path)
    assert text.index("1 planned run is absent") < text.index("AUC per picture")
    assert "coin\\u202eflip 2 Runs" in text  # the arm and its absent seed, then the next table


def test_how_to_verify_and_every_digest(page, path: Path) -> None:
    codes = [code.strip() for code in page.inside["code"]]
    assert "unmask benchmark --verify OUT" in codes
    assert "ab" * 32 in codes
    assert facts("xception", 1).config_sha256 in codes
    assert "Epochs 20" in told(path)


def test_spectra_share_a_grey_scale_and_show_the_peak(page) -> None:
    images = page.all("img")
    assert len(images) == 6
    planes = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode((a["src"] or "").split(",")[1]))))
        for a in images
    ]
    assert {p.shape for p in planes} == {(256, 256)}
    real, doubled, faint = (int(p.max()) for p in planes[:3])
    assert doubled == 255
    assert real < faint < 255
    assert "gan: brightest at (0.00, 0.50)" in [a["alt"] for a in images] or (
        "gan: brightest at (0.50, 0.00)" in [a["alt"] for a in images]
    )


def test_the_same_result_gives_the_same_page(
    tmp_path: Path, result: Result, embeddings, spectra, path: Path
) -> None:
    assert written(tmp_path, result, embeddings, spectra).read_bytes() == path.read_bytes()
    again = write_comparison(result.model_dump(mode="json", by_alias=True), tmp_path)
    assert again.read_text("utf-8").count("<section") == 11  # without embeddings and spectra


def test_a_page_is_written_over_and_nothing_else_is(tmp_path: Path, result: Result) -> None:
    write_comparison(result, tmp_path)
    write_comparison(result, tmp_path)
    (tmp_path / PAGE).write_text("<p>a letter</p>")
    with pytest.raises(ConfigError, match="not a benchmark's page"):
        write_comparison(result, tmp_path)
    assert (tmp_path / PAGE).read_text() == "<p>a letter</p>"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_comparison(result, tmp_path / "file")


def test_what_is_missing_is_said_and_not_made_up(tmp_path: Path) -> None:
    table = items()
    only = {("xception", 0): run(table, "xception", 0)}
    scores = only["xception", 0].scores.filter(pl.col("condition") == "clean")
    board = Board(table, {("xception", 0): Run(scores, facts("xception", 0))}, ARMS[:2], (0,), "p")
    text = told(write_comparison(compare(board, reference="xception", draws=100), tmp_path))
    assert "No run was scored under a control." in text
    assert "No run was scored under perturbations." in text
    assert "dual stream – (a)" in text
    assert "(a) no run of this arm" in text
    assert "best 0." not in text


def test_too_few_draws_for_any_finding_are_named(
    tmp_path: Path, result: Result, path: Path
) -> None:
    assert "the adjusted p is never below 0.059" in told(path)  # 3 tests, 100 draws: 6 / 101
    more = result.model_copy(update={"draws": 1000})
    assert "is never below" not in told(write_comparison(more, tmp_path))
