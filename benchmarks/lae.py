"""Is painting masks worth it? The LAE without masks, with 1% and 3% by two rules, and with all.

    python benchmarks/lae.py configs/lae/swap.yaml --index synthetic=INDEX.parquet --out OUT

Trains what is not yet trained in OUT.work: stage 1 once per seed, and a stage 2 for every arm. OUT
gets scores, tables and page as those of `unmask benchmark` (and `unmask benchmark --verify OUT`
computes its tables again), and localization.json, decisions.json and samples/ beside them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch

from unmask.apps.benchmark.lae import ARMS, run_lae
from unmask.apps.cli.indices import pairs
from unmask.errors import UnmaskError
from unmask.training.lae.config import load_lae_config
from unmask.training.lae.source import resolve_data


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--index", action="append", default=[], metavar="DATASET=INDEX")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="may be deleted afterwards; OUT.work by default")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE",
                        help="change a value of the configuration, YAML")  # fmt: skip
    parser.add_argument(
        "--show", help="sources that samples may be of, comma between; any by default"
    )
    parser.add_argument("--threads", type=int, help="of the processor")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        config = load_lae_config(given.config, changes=given.set)
        named = dict(pairs("--index", given.index))
        indices = {**config.data.indices, **{name: Path(path) for name, path in named.items()}}
        data = config.data.model_copy(update={"indices": indices})
        page = run_lae(
            config.model_copy(update={"data": data}),
            resolve_data(data),
            out=given.out,
            work=given.work or Path(f"{os.path.abspath(given.out)}.work"),
            say=lambda text: print(text, file=sys.stderr, flush=True),
            arms=tuple(given.arms.split(",")),
            seeds=tuple(int(seed) for seed in given.seeds.split(",")),
            resume=given.resume,
            show=None if given.show is None else tuple(given.show.split(",")),
        )
    except UnmaskError as error:
        print(f"lae: {error}", file=sys.stderr)
        return error.exit_code
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
