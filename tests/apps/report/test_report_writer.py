"""The report as a file: whole or absent, bounded, repeatable, honest about what is left out."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from unmask.apps.report import ReportWriter, section, writer
from unmask.errors import ConfigError
from unmask.results import REASONS


def open_writer(path: Path) -> ReportWriter:
    return ReportWriter(path, command=["unmask", "scan", "x"], tool="unmask 0.1.0")


def stop_after(item: object, report: ReportWriter, error: BaseException) -> None:
    report.add(item)
    raise error


def test_every_kind_of_input_gives_a_whole_page(build, make_report: Callable[..., Path]) -> None:
    items = [
        build.examined(build.scored(verdict, score), (build.evidence(score=score),))
        for verdict, score in [
            ("likely_manipulated", 0.9),
            ("inconclusive", 0.5),
            ("no_evidence_found", 0.1),
        ]
    ]
    items += [build.examined(build.failed(reason, "error")) for reason in sorted(REASONS)]
    page = build.page.of(make_report(*items))
    for words in ("Likely manipulated (1)", "Inconclusive (1)", "No evidence found (1)"):
        assert words in page.text
    assert f"Not scored ({len(REASONS)})" in page.text
    assert f"3 of {len(items)} inputs were scored" in page.text
    assert all(REASONS[reason] in page.text for reason in REASONS)
    assert len(page.inside["article"]) == len(items)
    assert "authentic" not in page.text.lower()


def test_a_video_shows_timeline_tables_and_pictures(
    build, make_report: Callable[..., Path]
) -> None:
    result = build.clip([0.0, 2.0, 4.0], [[0.9, 0.8, 0.95], [0.2, 0.3, 0.1]], 5.0)
    seen = (build.evidence(0, 0.95, 100, 4.0), build.evidence(1, 0.3, 50, 2.0))
    page = build.page.of(make_report(build.examined(result, seen)))
    assert "Face 0, frame 100 at 4.00 s: score 0.950" in page.text
    pictures = page.all("img")
    # two frames; crop, crop under the heat, heat and residual of two faces
    assert len(pictures) == 2 + 2 * 4
    assert pictures[0]["alt"] == "Frame 50 at 2.00 s with a box around face 0, face 1"
    (timeline,) = (t for t in page.inside["table"] if "each face in each frame" in t)
    assert timeline.count("good") == 6


def test_more_evidence_than_fits_is_counted(build, make_report: Callable[..., Path]) -> None:
    times = [float(k) for k in range(9)]
    result = build.clip(times, [[k / 10 for k in range(9)]], 9.0)
    seen = tuple(build.evidence(0, k / 10, 25 * k, float(k)) for k in range(9))
    text = build.page.of(make_report(build.examined(result, seen))).text
    assert f"{9 - section.MAX_KEY_FRAMES} further frames with lower scores not shown" in text
    assert f"{9 - section.MAX_FACES} further face views with lower scores not shown" in text
    assert "Face 0, frame 200 at 8.00 s" in text
    assert "Face 0, frame 0 at" not in text


def test_a_result_without_evidence_says_so(build, make_report: Callable[..., Path]) -> None:
    text = build.page.of(make_report(build.examined(build.scored()))).text
    assert "No pictures were kept with this result" in text


def test_no_inputs_is_still_a_page(build, make_report: Callable[..., Path]) -> None:
    assert "0 of 0 inputs were scored" in build.page.of(make_report()).text


def test_the_same_inputs_give_the_same_bytes(build, make_report: Callable[..., Path]) -> None:
    items = [
        build.examined(build.scored(), (build.evidence(),)),
        build.examined(build.failed()),
    ]
    first = make_report(*items).read_bytes()
    assert make_report(*items).read_bytes() == first


def test_beyond_the_cap_only_what_needs_attention_has_a_section(
    build, make_report: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_SECTIONS", 2)
    clear = build.examined(build.scored("no_evidence_found", 0.1))
    odd = [
        build.examined(build.scored()),
        build.examined(build.scored("inconclusive", 0.5)),
        build.examined(build.failed()),
    ]
    page = build.page.of(make_report(clear, clear, clear, *odd, clear))
    assert [i for i in page.ids if i.startswith("input-") and not i.endswith("-h")] == [
        "input-1",
        "input-2",
        "input-4",
        "input-5",
        "input-6",
    ]
    rows = [r for r in page.inside["tr"] if "a.jpg" in r or "b.jpg" in r]
    assert len(rows) == 7
    assert "The first 2 inputs have a section of their own" in page.text
    assert "2 without a finding are listed in this table only" in page.text


def test_pictures_stop_when_the_file_grows_too_large(
    build, make_report: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_PICTURE_BYTES", 1)
    item = build.examined(build.scored(), (build.evidence(),))
    page = build.page.of(make_report(item, item, item))
    assert len(page.all("img")) == 4 + 1  # of the first input alone
    assert "2 sections near the end have no pictures" in page.text
    assert page.text.count("The pictures are left out") == 2


def test_evidence_is_let_go_as_soon_as_it_is_drawn(build, tmp_path: Path) -> None:
    with open_writer(tmp_path / "r.html") as report:
        seen = build.evidence()
        gone = weakref.ref(seen.heatmap)
        report.add(build.examined(build.scored(), (seen,)))
        del seen
        gc.collect()
        assert gone() is None


def test_an_error_leaves_the_former_report_and_no_litter(build, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("the former report")
    with pytest.raises(ValueError, match="broken"), open_writer(path) as report:
        stop_after(build.examined(build.scored()), report, ValueError("broken"))
    assert path.read_text() == "the former report"
    assert os.listdir(tmp_path) == ["r.html"]


def test_nothing_appears_before_the_end_and_no_litter_after_it(build, tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.html"
    with open_writer(path) as report:
        report.add(build.examined(build.scored()))
        assert not path.exists()
    assert os.listdir(path.parent) == ["r.html"]


def test_a_failure_while_putting_together_leaves_nothing(
    build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(writer.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"), open_writer(tmp_path / "r.html") as report:
        report.add(build.examined(build.scored()))
    assert os.listdir(tmp_path) == []


def test_an_interrupt_gives_a_partial_report_that_says_so(build, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    with pytest.raises(KeyboardInterrupt), open_writer(path) as report:
        stop_after(build.examined(build.scored()), report, KeyboardInterrupt())
    text = build.page.of(path).text
    assert "Partial report." in text
    assert "interrupted after 1 input." in text


def test_a_folder_as_path_is_refused_before_the_scan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a folder"), open_writer(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_file_where_a_folder_is_needed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"), open_writer(tmp_path / "file/r"):
        pass


def test_adding_to_a_closed_writer_is_refused(build, tmp_path: Path) -> None:
    report = open_writer(tmp_path / "r.html")
    with pytest.raises(RuntimeError, match="with statement"):
        report.add(build.examined(build.scored()))
