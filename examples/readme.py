"""Writes the README of the examples from their table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

HEAD = """# Examples

Small items to try `unmask` on: four real portraits, eight forgeries of five families, a real and a
forged clip, a picture without a face and a damaged file.

    unmask scan examples --report report.html

`items.csv` has the same table for programs: `label` is `real`, `fake`, or `none` where there is
nothing to judge. The last two give no score but the reasons `no_face` and `truncated`, so a scan of
this folder ends with exit code 3.

| file | label | what it is | made from | licence |
|---|---|---|---|---|
"""

TAIL = """
How they were made: `make_examples.py` in this folder does all of it from the two sources. Stills
are encoded once more as JPEG (quality 95, 4:2:0) and clips as H.264 (CRF 18), the real ones and the
forged ones alike; pictures of the London Set were reduced to 512 x 512 before anything else. The
people belong to the part of the data that the packaged model was not trained, selected or
calibrated on (split `test`). They were taken in the order of their numbers, and no item was chosen
or left out for what a model says about it: a verdict here may be wrong.

So few items measure nothing. The model card has the error rates.

## Attribution

- Face Research Lab London Set: Lisa DeBruine and Benedict Jones, 2017, figshare,
  [doi 10.6084/m9.figshare.5047666.v5](https://doi.org/10.6084/m9.figshare.5047666.v5),
  licensed under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). Changed here: cropped,
  reduced, encoded again, and where the table says `fake` manipulated; the clips are animations of
  a still.
- Official portraits of members of the United States Congress: works of the United States
  Government, in the public domain. Changed here: encoded again, and where the table says `fake`
  manipulated. The forgeries say nothing about the people in them.

## SHA-256

"""


def write_readme(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the README of the items in `rows`, which has the columns of `items.csv`."""
    table = "".join(
        f"| `{row['path']}` | {row['label']} | {row['about']} "
        f"| {row['person'] or 'nothing: drawn by the script'} | {row['licence']} |\n"
        for row in rows
    )
    sums = "".join(f"    {row['sha256']}  {row['path']}\n" for row in rows)
    path.write_text(HEAD + table + TAIL + sums, "utf-8")
