"""Numbers are never shown as certain; hostile strings are shown as what they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.apps.report import numbers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "< 0.001"),
        (0.00099, "< 0.001"),
        (0.001, "0.001"),
        (0.93, "0.930"),
        (0.999, "0.999"),
        (0.9996, "> 0.999"),
        (1.0, "> 0.999"),
    ],
)
def test_scores_have_three_decimals_and_are_never_certain(value: float | None, shown: str) -> None:
    assert numbers.score(value) == shown


@given(st.floats(0, 1))
def test_no_share_is_shown_as_all_or_nothing(share: float) -> None:
    assert numbers.percent(share) not in ("0%", "100%", "0.0%", "100.0%")
    shown = numbers.percent(share)
    if shown[0] not in "<>":
        assert float(shown[:-1]) == pytest.approx(100 * share, abs=0.51)


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.01, "1%"), (0.024, "2.4%"), (0.0996, "10%"), (0.356, "36%"), (0.994, "99.4%")],
)
def test_percent(share: float, shown: str) -> None:
    assert numbers.percent(share) == shown


def test_percent_range() -> None:
    assert numbers.percent_range(0.003, 0.024) == "0.3–2.4%"
    assert numbers.percent_range(0.0, 0.01) == "< 0.1–1%"


@given(st.floats(0, 1), st.floats(0, 1))
def test_digits_apart_tells_values_apart_where_six_decimals_can(a: float, b: float) -> None:
    digits = numbers.digits_apart(a, b)
    assert 3 <= digits <= 6
    if digits < 6:
        assert numbers.score(a, digits) != numbers.score(b, digits)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (12.4, "12.40 s"),
        (59.999, "1:00.00"),
        (62.4, "1:02.40"),
        (3602.4, "1:00:02.40"),
    ],
)
def test_seconds(value: float | None, shown: str) -> None:
    assert numbers.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (82_345_111, "82.3 MB (82,345,111 bytes)"),
    ],
)
def test_file_size(value: int | None, shown: str) -> None:
    assert numbers.file_size(value) == shown


@given(st.text(st.characters(), max_size=20))
def test_visible_leaves_nothing_invisible_and_encodes(text: str) -> None:
    shown = numbers.visible(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    if text.isprintable():
        assert shown == text
    elif "\\" not in text and '"' not in text:
        assert json.loads(f'"{shown}"') == text


@pytest.mark.parametrize("text", ["\u202e", "\u2066", "\n", "\x00", "\udc80", "\u200b", "\x9b"])
def test_visible_spells_out_what_could_deceive(text: str) -> None:
    assert text not in numbers.visible(f"a{text}b")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash as the oracle")
def test_bash_reads_the_shell_line_as_the_same_words() -> None:
    words = ["unmask", "", "a b", "it's", "$(id)", "`id`", "\\", "x\n\u202ey\udcff0", "é", "-"]
    line = numbers.shell_line(words)
    assert line.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, timeout=30
    )
    assert done.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in words]
