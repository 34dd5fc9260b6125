"""Convert the trained MTCNN of the facenet-pytorch wheel into one safetensors file.

    python tools/convert_mtcnn.py facenet_pytorch-2.6.0-py3-none-any.whl \
        src/unmask/faces/weights/mtcnn.safetensors

The wheel (MIT licence, Copyright (c) 2019 Timothy Esler) is only read, never installed. What the
conversion changes, so that the networks in `unmask.faces.mtcnn` need no special cases:

- The first dense layer expects its input flattened as (column, row, channel), inherited from
  column-major ancestors. Its columns are reordered to (channel, row, column), PyTorch's order.
- Two-class softmax equals a sigmoid of the difference: the two rows (background, face) become one
  face logit, and the separate heads (face, box, landmarks) become one layer.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

Layers = tuple[str, ...]

# name here, file, layers in the order of our nn.Sequential (None: no weights), dense layer and the
# (channels, side) of the map it reads, heads in the order face, box(, landmarks)
NETWORKS: tuple[tuple[str, str, dict[int, str], tuple[int, str, int, int] | None, Layers], ...] = (
    ("proposal", "pnet", {0: "1", 2: "2", 3: "3"}, None, ("conv4_1", "conv4_2")),
    ("refine", "rnet", {0: "1", 2: "2", 4: "3"}, (6, "4", 64, 3), ("dense5_1", "dense5_2")),
    (
        "output",
        "onet",
        {0: "1", 2: "2", 4: "3", 6: "4"},
        (8, "5", 128, 3),
        ("dense6_1", "dense6_2", "dense6_3"),
    ),
)


def reordered(weight: Tensor, channels: int, side: int) -> Tensor:
    """(out, side * side * channels) from (column, row, channel) to (channel, row, column)."""
    return weight.view(-1, side, side, channels).permute(0, 3, 2, 1).reshape(len(weight), -1)


def merged_heads(state: dict[str, Tensor], heads: Layers, kind: str) -> Tensor:
    """One layer from all heads; the first, (background, face), becomes one logit."""
    first, *rest = (state[f"{name}.{kind}"] for name in heads)
    return torch.cat([first[1:2] - first[0:1], *rest])


def convert(states: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """State dicts by file name (`pnet`, `rnet`, `onet`) -> the state of `unmask`'s MTCNN."""
    out: dict[str, Tensor] = {}
    for name, file, convs, dense, heads in NETWORKS:
        state, last = states[file], max(convs) + 1
        for position, number in convs.items():
            out[f"{name}.{position}.0.weight"] = state[f"conv{number}.weight"]
            out[f"{name}.{position}.0.bias"] = state[f"conv{number}.bias"]
            out[f"{name}.{position}.1.weight"] = state[f"prelu{number}.weight"]
        if dense is not None:
            position, number, channels, side = dense
            out[f"{name}.{position}.weight"] = reordered(
                state[f"dense{number}.weight"], channels, side
            )
            out[f"{name}.{position}.bias"] = state[f"dense{number}.bias"]
            out[f"{name}.{position + 1}.weight"] = state[f"prelu{number}.weight"]
            last = position + 2
        for kind in ("weight", "bias"):
            out[f"{name}.{last}.{kind}"] = merged_heads(state, heads, kind)
    return {key: value.contiguous() for key, value in out.items()}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Convert facenet-pytorch's MTCNN to safetensors.")
    parser.add_argument("wheel", type=Path, help="facenet_pytorch-2.6.0-py3-none-any.whl")
    parser.add_argument("out", type=Path, help="the .safetensors file to write")
    given = parser.parse_args(arguments)

    states, digests = {}, {}
    with zipfile.ZipFile(given.wheel) as wheel:
        for _, file, *_ in NETWORKS:
            member = f"facenet_pytorch/data/{file}.pt"
            content = wheel.read(member)
            digests[f"sha256:{member}"] = hashlib.sha256(content).hexdigest()
            states[file] = torch.load(io.BytesIO(content), weights_only=True)
        licence = wheel.read("facenet_pytorch-2.6.0.dist-info/LICENSE.md")
    metadata = {
        "architecture": "MTCNN (Zhang et al. 2016)",
        "source": "facenet-pytorch 2.6.0, https://github.com/timesler/facenet-pytorch",
        "licence": "MIT, Copyright (c) 2019 Timothy Esler",
        "converted_by": "tools/convert_mtcnn.py",
        "sha256:wheel": hashlib.sha256(given.wheel.read_bytes()).hexdigest(),
        **digests,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    # one metadata entry: safetensors writes several in no fixed order, and the file should repeat
    provenance = json.dumps(metadata, sort_keys=True)
    save_file(convert(states), given.out, metadata={"provenance": provenance})
    given.out.chmod(0o644)
    given.out.with_suffix(".LICENSE").write_bytes(licence)


if __name__ == "__main__":
    main(sys.argv[1:])
