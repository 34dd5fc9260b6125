"""The networks for forgeries that ship in the package, with their weights."""

from __future__ import annotations

from importlib import resources
from typing import TypeVar

from safetensors.torch import load
from torch import nn

M = TypeVar("M", bound=nn.Module)


def with_weights(model: M, name: str) -> M:
    """The model with the packaged weights of that name: float32, in eval mode, frozen.

    Raises:
        RuntimeError: the weights are of another network.
    """
    folder = resources.files("unmask.synthesis").joinpath("weights")
    tensors = load(folder.joinpath(f"{name}.safetensors").read_bytes())
    model.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    return model.eval().requires_grad_(False)
