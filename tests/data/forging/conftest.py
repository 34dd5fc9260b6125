"""Decoding without processes, for tests that are about something else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unmask.data.forging import workers
from unmask.media import try_decode


class InThisProcess:
    """Decodes without a process of its own, which takes a second to start."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, paths: list[str]) -> Iterator[object]:
        return (try_decode(path, max_frames=1) for path in paths)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are decoded in the process that asks."""
    monkeypatch.setattr(workers, "DecodePool", InThisProcess)
