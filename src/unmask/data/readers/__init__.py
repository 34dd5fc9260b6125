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


READERS: dict[str, Reader] = {
    "ffpp": Reader(
        "FaceForensics++ (Rössler et al., 2019), with DFD and FaceShifter where they are",
        "faceforensics:read",
        "research only, on request",
    ),
    "dfd": Reader(
        "DFD, the DeepFakeDetection data set (Google and Jigsaw, 2019)",
        "dfd:read",
        "research only, on request with FaceForensics++",
    ),
    "faceshifter": Reader(
        "FaceShifter on FaceForensics++'s clips (Li et al., 2020)",
        "faceshifter:read",
        "research only, on request with FaceForensics++",
    ),
    "celebdf-v1": Reader(
        "Celeb-DF v1 (Li et al., 2019)", "celebdf:read_v1", "research only, on request"
    ),
    "celebdf-v2": Reader(
        "Celeb-DF v2 (Li et al., 2020)", "celebdf:read_v2", "research only, on request"
    ),
    "celebdf-pp": Reader(
        "Celeb-DF++ (Li et al., 2025)", "celebdf:read_pp", "research only, on request"
    ),
    "deeperforensics": Reader(
        "DeeperForensics-1.0 (Jiang et al., 2020)",
        "deeperforensics:read",
        "research only, on request",
    ),
    "dfdc": Reader(
        "DeepFake Detection Challenge (Dolhansky et al., 2020): train, validation and test",
        "dfdc:read",
        "under the challenge's terms, on registration",
    ),
    "dfdc-preview": Reader(
        "DeepFake Detection Challenge, preview (Dolhansky et al., 2019)",
        "dfdcp:read",
        "under the challenge's terms, on registration",
    ),
    "wilddeepfake": Reader(
        "WildDeepfake (Zi et al., 2020): face sequences from the internet",
        "wilddeepfake:read",
        "research only, on request",
    ),
    "df40": Reader(
        "DF40 (Yan et al., 2024): forty methods, as face crops", "df40:read", "CC BY-NC 4.0"
    ),
    "diff": Reader(
        "DiFF (Cheng et al., 2024): faces by thirteen diffusion methods",
        "diff:read",
        "on request, the reals apart",
    ),
    "uadfv": Reader("UADFV (Yang et al., 2019)", "uadfv:read", "research only, on request"),
    "folder": Reader("a folder with real/ and fake/", "folder:read", "your own"),
    "csv": Reader("a CSV with the columns path,label,split", "csv_table:read", "your own"),
    "exchange": Reader(
        "the field's common JSON of frames (Yan et al., 2023)", "exchange:read", "your own"
    ),
}
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
