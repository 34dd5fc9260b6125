"""Which picture a file handed in is for, by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from unmask.data.annotation.pictures import Picture
from unmask.data.readers.layout import stems


def names_of(pictures: Sequence[Picture]) -> dict[str, str]:
    """Path of each picture -> its name without suffix, for a mask beside it.

    With the suffix where two would else be the same. A picture outside the index's folder gets a
    name within `outside/`.

    >>> from pathlib import Path
    >>> names_of([Picture(p, Path(p)) for p in ("a/1.jpg", "a/1.png", "b.png")])
    {'a/1.jpg': 'a/1.jpg', 'a/1.png': 'a/1.png', 'b.png': 'b'}
    """
    paths = [inside(picture.path) for picture in pictures]
    names = (PurePosixPath(name).as_posix() for name in stems(paths))
    return dict(zip((picture.path for picture in pictures), names, strict=True))


def inside(path: str) -> str:
    """A picture's path, below `outside/` if it is absolute."""
    if not PurePosixPath(path).is_absolute():
        return path
    return f"outside/{hashlib.sha256(path.encode()).hexdigest()[:12]}-{PurePosixPath(path).name}"


class Names:
    """Finds pictures by what files are called: the path, the name of `names_of`, or the last part
    of either where only one picture has it."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._exact: dict[str, Picture] = {}
        self._last: dict[str, set[int]] = {}
        self._pictures = list(pictures)
        for place, (picture, name) in enumerate(
            zip(pictures, names_of(pictures).values(), strict=True)
        ):
            for called in (name, inside(picture.path), picture.path):
                self._exact[called] = picture
                self._last.setdefault(PurePosixPath(called).name, set()).add(place)
                self._last.setdefault(PurePosixPath(called).stem, set()).add(place)

    def find(self, name: str) -> Picture | str:
        """The picture, or why there is none."""
        if name in self._exact:
            return self._exact[name]
        places = sorted(self._last.get(PurePosixPath(name).name, ()))
        if len(places) == 1:
            return self._pictures[places[0]]
        if not places:
            return f"no picture is called {name}"
        both = " and ".join(self._pictures[place].path for place in places[:2])
        return f"{len(places)} pictures are called {PurePosixPath(name).name}, e.g. {both}"
