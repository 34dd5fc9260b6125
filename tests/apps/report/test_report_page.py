"""The page itself: self-contained, safe against its inputs, readable, accessible."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from unmask.results import InputInfo, Result

HOSTILE = [
    "<script>alert(1)</script>.jpg",
    "\"><img src=x onerror=alert(1)>'.jpg",
    "photo\u202egpj.exe",
    "two\nlines\r.jpg",
    "bad\udcff bytes\x00.jpg",
    "{{ 7 * 7 }}{% raw %}.jpg",
    "--out=x.jpg",
    "</style></title><svg onload=x>",
]


@pytest.fixture
def full(build, make_report: Callable[..., Path]) -> Path:
    video = build.clip([0.0, 2.0, 4.0], [[0.9, 0.8, 0.95], [0.2, 0.3, 0.1]], 5.0)
    return make_report(
        build.examined(build.scored(), (build.evidence(),)),
        build.examined(video, (build.evidence(0, 0.95, 100, 4.0),)),
        build.examined(build.failed()),
        command=("unmask", "scan", "my desk", "--out", "results.jsonl", "--max-frames=9"),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_and_nothing_else(
    build, make_report: Callable[..., Path], name: str
) -> None:
    info = InputInfo(path=name, sha256="0" * 64, format=name, media="image")
    evil = build.scored(input=info, message=name)
    item = build.examined(evil, (build.evidence(),))
    harmless = build.examined(build.scored(message="x"), (build.evidence(),))
    page = build.page.of(make_report(item, command=("unmask", "scan", name)))
    calm = build.page.of(make_report(harmless))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in calm.tags}
    assert len(page.all("script")) == 1
    assert len(page.all("img")) == len(calm.all("img"))
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    assert not [c for c in page.text if not c.isprintable() and c != "\n"]


def test_the_record_is_the_result_itself(build, make_report: Callable[..., Path]) -> None:
    result = build.scored(input=InputInfo(path="photo\u202egpj\n.exe"))
    page = build.page.of(make_report(build.examined(result)))
    (record,) = (code for code in page.inside["code"] if code.startswith("{"))
    assert Result.model_validate(json.loads(record)) == result


def test_commands_repeat_the_scan_and_verify_the_result(build, full: Path) -> None:
    page = build.page.of(full)
    lines = [line for code in page.inside["code"] for line in code.splitlines()]
    scan = "unmask scan 'my desk' --out results.jsonl --max-frames=9"
    assert lines.count(scan) == 4  # in each section, and at the end
    checks = [shlex.split(line) for line in lines if line.startswith("unmask verify ")]
    assert checks == [
        ["unmask", "verify", "--max-frames", "9", "results.jsonl", "desk/a.jpg"],
        ["unmask", "verify", "--max-frames", "9", "results.jsonl", "--path=c.mp4"],
        ["unmask", "verify", "--max-frames", "9", "results.jsonl", "--path=b.jpg"],
    ]


def test_paths_that_look_like_options_are_no_options(
    build, make_report: Callable[..., Path]
) -> None:
    info = InputInfo(path="--out=x.jpg", sha256="0" * 64)
    page = build.page.of(make_report(build.examined(build.scored(input=info))))
    assert "unmask verify -- result.json --out=x.jpg" in page.text


def test_long_commands_are_shown_once(build, make_report: Callable[..., Path]) -> None:
    item = build.examined(build.scored())
    command = ("unmask", "scan", *(f"picture-{k}.jpg" for k in range(100)))
    page = build.page.of(make_report(item, item, command=command))
    assert page.text.count("picture-99.jpg") == 1
    assert "#method" in [a.get("href") for a in page.all("a")]


def test_nothing_is_loaded_from_elsewhere(build, full: Path) -> None:
    source = full.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\((?!#)", source)
    page = build.page.of(full)
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {t for t, _ in page.tags}
    assert all((a["src"] or "").startswith("data:image/") for a in page.all("img"))
    assert all((a.get("href") or "").startswith("#") for a in page.all("a") + page.all("use"))


def test_the_policy_allows_exactly_the_inline_style_and_script(build, full: Path) -> None:
    page = build.page.of(full)
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv"))
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        digest = hashlib.sha256(page.inside[tag][0].encode()).digest()
        assert rules[rule] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert not [attrs for _, attrs in page.tags if "style" in attrs]


def test_ids_are_unique_and_every_link_has_its_end(build, full: Path) -> None:
    page = build.page.of(full)
    assert len(page.ids) == len(set(page.ids))
    ends = {(a["href"] or "")[1:] for a in page.all("a") + page.all("use")}
    assert ends <= set(page.ids)
    named = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert named <= set(page.ids)


def test_landmarks_headings_tables_and_pictures_are_accessible(build, full: Path) -> None:
    page = build.page.of(full)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("main")) == len(page.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("scope") for a in page.all("th"))
    assert all("alt" in a and "width" in a and "height" in a for a in page.all("img"))
    for svg in page.all("svg"):
        assert svg.get("aria-hidden") == "true" or (svg["role"] == "img" and svg["aria-label"])


def test_all_of_it_is_there_without_the_script(build, full: Path) -> None:
    page = build.page.of(full)
    assert not [a for _, a in page.tags if "hidden" in a]
    assert "display: none" not in _style().split("@media print")[0].replace(
        ".inputs tr:not(.group) > :first-child { display: none; }", ""
    )


def _style() -> str:
    folder = files("unmask.apps.report") / "templates"
    return (folder / "report.css").read_text(encoding="utf-8")


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", range(3), ids=["light", "dark", "print"])
def test_contrast_meets_wcag_aa(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", _style(), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", block))

    def contrast(a: str, b: str) -> float:
        high, low = sorted((_luminance(colours[a]), _luminance(colours[b])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    words = ["ink", "soft", "link", "likely", "inconclusive", "none", "unscored"]
    for ground in ("paper", "panel"):
        assert {w for w in words if contrast(w, ground) < 4.5} == set()
    marks = ["median", *(f"c{k}" for k in range(6))]
    assert {m for m in marks if contrast(m, "paper") < 3} == set()
