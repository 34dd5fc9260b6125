"""Which candidate for the default model does best on families left out of its training?

    python benchmarks/research.py --index INDEX.parquet --fakes stylegan=INDEX.csv --out OUT

INDEX.parquet is what `unmask synthesize INDEX.csv OUT --family all` writes. Trains every candidate
of the table once per fold and seed, as far as that is not done, scores them on the validation
split, and writes research.json and a page. `--split test` is for the few that are kept at the end.
`--only-rank` makes both again from the score files.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from unmask.apps.benchmark.research import Workshop, rank, read_research
from unmask.apps.cli.indices import pairs
from unmask.data.items import read_items_with
from unmask.errors import UnmaskError

TABLE = Path(__file__).with_suffix(".yaml")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--fakes", action="append", default=[], metavar="GENERATOR=INDEX")
    parser.add_argument("--backbone-weights", type=Path, help="of candidates from ImageNet weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="may be deleted afterwards; OUT.work by default")
    parser.add_argument("--candidates", default="", help="some of the table's; all by default")
    parser.add_argument("--folds", default="", help="some of the table's; all by default")
    parser.add_argument("--seeds", default="", help="instead of the table's")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only-rank", action="store_true")
    given = parser.parse_args()
    failures: list[str] = []
    try:
        research = read_research(given.table)
        if not given.only_rank:
            if given.index is None:
                parser.error("--index is needed to train")
            workshop = Workshop(
                research,
                read_items_with(
                    given.index,
                    {name: Path(path) for name, path in pairs("--fakes", given.fakes)},
                ),
                given.split,
                given.out,
                given.work or Path(f"{os.path.abspath(given.out)}.work"),
                given.jobs,
                lambda text: print(text, file=sys.stderr, flush=True),
                given.backbone_weights,
            )
            failures = workshop.carry_out(
                [name for name in given.candidates.split(",") if name],
                [name for name in given.folds.split(",") if name] or list(research.folds),
                [int(seed) for seed in given.seeds.split(",") if seed],
            )
        print(rank(research, given.out, given.split))
    except UnmaskError as error:
        print(f"research: {error}", file=sys.stderr)
        return error.exit_code
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
