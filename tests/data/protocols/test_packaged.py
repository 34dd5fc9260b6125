"""The protocols that come with the package, and what a file of protocols may say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unmask.data.index import Index, index_of, video_id
from unmask.data.protocols.protocol import Protocol, Selection, protocol, protocols, read_protocols
from unmask.data.protocols.resolve import resolve
from unmask.data.readers import READERS
from unmask.errors import ConfigError
from unmask.synthesis.families import SPECS

Row = dict[str, Any]


def row(selection: Selection, stem: str, split: str | None, kind: str) -> Row:
    """One picture that a selection takes."""
    compression = (selection.compressions or ("",))[0]
    return {
        "video_id": video_id(selection.dataset, kind, compression, stem),
        "frame": 0,
        "path": f"{kind or 'real'}/{compression or 'raw'}/{stem}.png",
        "label": selection.label,
        "dataset": selection.dataset,
        "manipulation": kind,
        "compression": compression,
        "source": (selection.sources or ("studio",))[0],
        "identities": [stem],
        "split": split,
        "codec": "png",
        "width": 256,
        "height": 256,
    }


def universe(chosen: Protocol) -> Mapping[str, Index]:
    """Indices that have what a protocol names, people and pictures apart."""
    rows: dict[str, dict[str, Row]] = {}
    for selection in (s for part in chosen.sets().values() for s in part):
        kinds = selection.manipulations or ("self_blend", "reupsample", "morph", "reenact")
        for kind in kinds if selection.label else ("",):
            for split in selection.splits or (None,):
                for n in range(3):
                    made = row(selection, f"{split}{n}", split, kind)
                    rows.setdefault(selection.dataset, {})[made["video_id"]] = made
    return {name: index_of(Path(name), found.values()) for name, found in rows.items()}


@pytest.mark.parametrize("name", protocols())
def test_every_packaged_protocol_resolves_on_what_it_names(name: str) -> None:
    chosen = protocol(name)
    found = resolve(chosen, universe(chosen))
    assert set(found.tests) == {"seen", "unseen"}
    trained = set(found.train.table["manipulation"]) - {""}
    unseen = found.tests["unseen"].table.filter(pl.col("label") == 1)
    assert not any(
        kind in trained
        for kind, dataset in unseen.select("manipulation", "dataset").rows()
        if dataset in set(found.train.table["dataset"])
    )
    assert set(chosen.datasets()) <= {*READERS, "celeba", "synthetic"}


def test_the_packaged_names() -> None:
    known = protocols()
    assert {"ffpp-c23->celebdf-v2", "face2face->faceswap", "synthetic-unseen"} <= set(known)
    for held_out in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"):
        assert f"ffpp-c23-leave-one-out:{held_out}" in known
    for family in SPECS:
        assert f"synthetic-leave-one-out:{family}" in known
    assert all(known[n].normalise for n in known if n.startswith("ffpp"))
    with pytest.raises(ConfigError, match=r"(?s)no protocol 'x'.*ffpp-c23->celebdf-v2"):
        protocol("x")
    with pytest.raises(ConfigError, match=r"(?s)Choose of: ffpp-c23-leave-one-out:Deepfakes, "):
        protocol("ffpp-c23-leave-one-out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("a: 1", "must be a list of protocols"),
        ("- {name: x, each: [1]}", "each must name one variable"),
        ("- {name: x, summary: y}", r"protocol x in f\.yaml cannot be:\n  train: Field required"),
        ("- {name: x, colour: y}", r"colour: Extra inputs are not permitted"),
    ],
)
def test_a_file_of_protocols_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_protocols(text, "f.yaml")
