"""Resident memory of a process and all its descendants, sampled from /proc (Linux)."""

from __future__ import annotations

import os
import time

from sampling import Repeatedly

INTERVAL = 0.2
PAGE = os.sysconf("SC_PAGE_SIZE")


class Sampler(Repeatedly):
    """Samples a process tree every `INTERVAL` seconds while its `with` block lasts.

    The tree's memory is the sum of the resident sets, so pages that processes share count in each
    of them: it is an upper bound.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._samples: list[tuple[float, int, int]] = []
        super().__init__(self._take, INTERVAL)

    def summary(self) -> dict[str, object]:
        """Peaks in MiB: of the tree, of the first process, and of the tree in each quarter."""
        if not self._samples:
            return {"samples": 0}
        start, end = self._samples[0][0], self._samples[-1][0]
        quarters = [0.0] * 4
        for at, tree, _ in self._samples:
            quarter = min(3, int(4 * (at - start) / max(end - start, 1e-9)))
            quarters[quarter] = max(quarters[quarter], tree / 2**20)
        return {
            "peak_tree": max(tree for _, tree, _ in self._samples) / 2**20,
            "peak_judging_process": max(own for *_, own in self._samples) / 2**20,
            "peak_tree_by_quarter": quarters,
            "samples": len(self._samples),
        }

    def _take(self) -> None:
        resident = _resident(self._pid)
        if resident:
            whole, own = sum(resident.values()), resident.get(self._pid, 0)
            self._samples.append((time.perf_counter(), whole, own))


def _resident(root: int) -> dict[int, int]:
    """Resident bytes by process: `root` and whatever descends from it."""
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                # the name, in brackets, may hold anything
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended since the listing
    tree, grown = {root}, True
    while grown:
        found = {pid for pid, parent in parents.items() if parent in tree} - tree
        tree, grown = tree | found, bool(found)
    resident = {}
    for pid in tree:
        try:
            with open(f"/proc/{pid}/statm") as file:
                resident[pid] = int(file.read().split()[1]) * PAGE
        except OSError:
            continue
    return resident


if __name__ == "__main__":
    raise SystemExit("This is a part of bulk.py; run that.")
