"""The page's tables of maps and decisions: what is best, which way, and the samples."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from unmask.apps.report.comparison_blocks import Pictures, Table
from unmask.apps.report.comparison_maps import (
    SAMPLES,
    MapFiles,
    decisions_section,
    maps_section,
)
from unmask.errors import DatasetError
from unmask.evaluation.comparison.measured import (
    DECISIONS,
    LOCALIZATION,
    MeasuredDifference,
    MeasuredFile,
    MeasuredRow,
)


def row(measure: str, arm: str, value: float | None) -> MeasuredRow:
    known = value is not None
    return MeasuredRow(
        set="unseen",
        measure=measure,
        arm=arm,
        value=value,
        low=value - 0.01 if known else None,
        high=value + 0.01 if known else None,
        reason=None if known else "no item has it",
        seeds=(value, value),
    )


def measured() -> MeasuredFile:
    return MeasuredFile(
        about="What the measures are.",
        intervals="How they were drawn.",
        draws=200,
        level=0.95,
        thresholds={"all/seed-0": {"threshold": 0.5}},
        rows=(
            row("iou", "none", 0.1),
            row("iou", "all", 0.4),
            row("reals_marked", "none", 0.02),
            row("reals_marked", "all", 0.30),
            row("mask_share", "none", 0.2),
            row("mask_share", "all", 0.3),
            row("pixel_ap", "none", None),
            row("pixel_ap", "all", 0.5),
        ),
        differences=(
            MeasuredDifference(
                set="unseen", measure="iou", arm="all", less="none",
                value=0.3, low=0.2, high=0.4, reason=None, p=0.0004, p_holm=0.002,
            ),
        ),
    )  # fmt: skip


def test_values_with_the_better_one_marked_whichever_way_better_is() -> None:
    section = maps_section(measured())
    assert section is not None
    values, gaps = [block for block in section.blocks if isinstance(block, Table)]
    assert values.columns == ("Arm", "IoU", "Reals marked", "Share of the mask", "Pixel AP")
    none, all_ = values.rows
    assert [cell.text for cell in none.cells] == ["0.100", "0.020", "0.200", "–"]
    assert [cell.best for cell in none.cells] == [False, True, False, False]
    assert [cell.best for cell in all_.cells] == [True, False, False, False]
    assert none.cells[3].extra == "(a)"
    assert values.notes == ("(a) no item has it",)
    (gap,) = gaps.rows
    assert gap.head == "all less none"
    assert [cell.text for cell in gap.cells] == ["IoU", "+0.300", "0.002"]
    assert gaps.folded


def test_a_comparison_without_maps_has_no_such_sections(tmp_path: Path) -> None:
    assert maps_section(None) is None
    assert decisions_section(None) is None
    assert MapFiles.read(tmp_path) is None


def test_files_and_samples_of_a_folder(tmp_path: Path) -> None:
    measured().write(tmp_path / LOCALIZATION)
    (tmp_path / SAMPLES).mkdir()
    Image.new("RGB", (12, 8), "red").save(tmp_path / SAMPLES / "none.jpg")
    found = MapFiles.read(tmp_path)
    assert found is not None
    assert found.localization == measured()
    assert found.decisions is None
    section = maps_section(found.localization, found.samples)
    assert section is not None
    (pictures,) = [block for block in section.blocks if isinstance(block, Pictures)]
    (shown,) = pictures.pictures
    assert (shown.caption, shown.picture.width, shown.picture.height) == ("none", 12, 8)
    assert shown.picture.uri.startswith("data:image/jpeg;base64,")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / DECISIONS).write_text('{"about": 1}')
    with pytest.raises(DatasetError, match=r"decisions\.json does not follow"):
        MapFiles.read(tmp_path)
    (tmp_path / DECISIONS).unlink()
    measured().write(tmp_path / LOCALIZATION)
    (tmp_path / SAMPLES).mkdir()
    (tmp_path / SAMPLES / "none.jpg").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="no JPEG or PNG"):
        MapFiles.read(tmp_path)
