"""The paired tests of a comparison's folder against another arm than its reference.

    python benchmarks/against.py FOLDER ARM --out RESULT.json

FOLDER is what `unmask benchmark --out` wrote; its score files are all that is read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from unmask.data.atomic import replace_text
from unmask.errors import UnmaskError
from unmask.evaluation.comparison.result import read_result
from unmask.evaluation.comparison.verify import computed_again


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("arm")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        again = computed_again(given.folder, read_result(given.folder), given.arm)
    except UnmaskError as error:
        print(f"against: {error}", file=sys.stderr)
        return error.exit_code
    only = {"protocol", "reference", "draws", "level", "seeds", "intervals", "comparisons", "files"}
    replace_text(given.out, again.model_dump_json(include=only, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
