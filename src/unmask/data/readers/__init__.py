"""Data sets in their own layouts: `READERS[name].read(root)` gives an `Index`.

Every reader is a plain function in a file of its own: a folder in, a table out; nothing is decoded
and nothing is written. A folder that does not look as it should is refused with the tree that was
expected and what was found instead (`layout.mismatch`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from unmask.data.index import Index
from unmask.errors import ConfigError

Read = Callable[[Path], Index]


@dataclass(frozen=True, slots=True)
class Reader:
    """A data set that can be read.

    Attributes:
        title: its full name, with who made it and when.
        place: module of this package and function in it, as `module:function`.
        licence: under what terms its makers give it out, in a few words.
    """

    title: str
    place: str
    licence: str

    def read(self, root: Path) -> Index:
        """The data set below `root`.

        Raises:
            DatasetError: its layout is another one, or a list in it is damaged.
        """
        module, function = self.place.split(":")
        read = getattr(importlib.import_module(f"{__name__}.{module}"), function)
        return cast(Read, read)(root)


READERS: dict[str, Reader] = {}
"""name, as `unmask prepare` takes it -> reader."""


def reader(name: str) -> Reader:
    """Look a reader up.

    Raises:
        ConfigError: there is none of that name; the message lists them.
    """
    if name not in READERS:
        raise ConfigError(
            f"There is no reader for the data set {name!r}.", f"Choose of: {', '.join(READERS)}."
        )
    return READERS[name]
