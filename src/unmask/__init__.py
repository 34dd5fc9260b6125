"""unmask: tells manipulated faces from real ones when the generator was never seen in training.

The public names load on first use, so that `import unmask` is cheap and loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Crop": "unmask.types",
    "Detector": "unmask.inference.detector",
    "Face": "unmask.types",
    "Frame": "unmask.types",
    "MODELS": "unmask.models.registry",
    "Result": "unmask.results",
    "UnmaskError": "unmask.errors",
    "decode": "unmask.media",
    "load_checkpoint": "unmask.models.checkpoint",
}

if TYPE_CHECKING:
    from unmask.errors import UnmaskError as UnmaskError
    from unmask.inference.detector import Detector as Detector
    from unmask.media import decode as decode
    from unmask.models.checkpoint import load_checkpoint as load_checkpoint
    from unmask.models.registry import MODELS as MODELS
    from unmask.results import Result as Result
    from unmask.types import Crop as Crop
    from unmask.types import Face as Face
    from unmask.types import Frame as Frame

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unmask' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
