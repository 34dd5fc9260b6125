"""Which network is best from scratch on this little data: validation AUC, the losers included.

    python benchmarks/networks.py INDEX.csv --out benchmarks/results/networks.json

Trains `configs/default.yaml` and every configuration in `configs/compare` that is not yet trained
in `--runs`, and lists what their cards say of the validation split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from default_model import DEFAULT, trained
from record import Record, arguments

from unmask.models.checkpoint import Card, read_card

COMPARED = Path("configs/compare")


def row(card: Card) -> dict[str, Any]:
    """What is compared, of one card."""
    families = card.metrics["families"]
    return {
        "architecture": card.architecture,
        "parameters": card.parameters,
        "configuration": card.training["configuration"],
        "mean_auc": sum(entry["auc"] for entry in families.values()) / len(families),
        "families": families,
    }


def main() -> None:
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    args = parser.parse_args()
    record = Record(seed=1)
    configs = [DEFAULT, *sorted(COMPARED.glob("*.yaml"))]
    rows = {path.stem: row(read_card(trained(path, args.index, args.runs))) for path in configs}
    record.write(args.out, {"split": "val", "networks": rows})


if __name__ == "__main__":
    main()
