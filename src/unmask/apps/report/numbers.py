"""How numbers and untrusted strings look in a report: all of it is decided here."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence

NONE = "–"
"""Shown where there is no value."""


def score(value: float | None, digits: int = 3) -> str:
    """A score or probability in [0, 1]; never shown as certain.

    >>> score(0.93), score(1.0), score(0.0)
    ('0.930', '> 0.999', '< 0.001')
    """
    if value is None:
        return NONE
    step = 10.0**-digits
    if value > 1 - step:
        return f"> {1 - step:.{digits}f}"
    if value < step:
        return f"< {step:.{digits}f}"
    return f"{value:.{digits}f}"


def digits_apart(a: float, b: float) -> int:
    """The decimals, 3 to 6, at which `score(a)` and `score(b)` no longer look the same."""
    return next((d for d in (3, 4, 5) if score(a, d) != score(b, d)), 6)


def percent(share: float) -> str:
    """A share in [0, 1] in percent with at most one decimal; never 0% and never 100%.

    >>> percent(0.01), percent(0.024), percent(0.356), percent(1.0), percent(0.0)
    ('1%', '2.4%', '36%', '> 99.9%', '< 0.1%')
    """
    return f"{_percent_digits(share)}%"


def percent_range(low: float, high: float) -> str:
    """Two shares in [0, 1] as one range.

    >>> percent_range(0.003, 0.024)
    '0.3–2.4%'
    """
    return f"{_percent_digits(low)}–{_percent_digits(high)}%"


def _percent_digits(share: float) -> str:
    value = 100 * share
    if value < 0.1:
        return "< 0.1"
    if value > 99.9:
        return "> 99.9"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.0f}" if value < 99 else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """A time or a duration: `12.40 s`, from a minute on `1:02.40`, from an hour on `1:00:02.40`."""
    if value is None:
        return NONE
    hundredths = round(value * 100)
    minutes, rest = divmod(hundredths, 6000)
    if not minutes:
        return f"{rest / 100:.2f} s"
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest / 100:05.2f}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def count(value: int) -> str:
    """A whole number with commas between thousands."""
    return f"{value:,}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """`1 face`, `2 faces`."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def file_size(value: int | None) -> str:
    """Bytes, with a decimal unit before them where one helps."""
    if value is None:
        return NONE
    exact = plural(value, "byte")
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit} ({exact})"
    return exact


def level(value: float) -> str:
    """A log10 energy, with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def visible(text: str) -> str:
    """`text` with every invisible or reordering character spelled out as a JSON escape.

    File names may hold newlines, right-to-left overrides and bytes that are no text; shown as
    they are they could make one name look like another, or break the file's encoding.

    Args:
        text: any string, lone surrogates included.

    >>> visible("a\\u202egpj.exe")
    'a\\\\u202egpj.exe'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def shell_line(arguments: Sequence[str]) -> str:
    """A command line that a POSIX-style shell (bash, zsh) splits into `arguments` again.

    Invisible characters are written as bytes in `$'...'`, so that the line survives being shown,
    printed and copied.
    """
    return " ".join(map(_shell_word, arguments))


def _shell_word(argument: str) -> str:
    if argument.isprintable():
        return shlex.quote(argument)
    spelled = "".join(
        chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}"
        for b in os.fsencode(argument)
    )
    # a hexadecimal escape takes two digits at most, so what follows it stays text
    return f"$'{spelled}'"
