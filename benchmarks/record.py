"""The envelope of every benchmark's JSON: what was run, on what, by which code."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("unmask", "torch", "timm", "numpy", "opencv-python-headless", "pillow", "av", "click")
RESULTS = ":(exclude)benchmarks/results"
"""What benchmarks that ran before have written is no change of the code."""


def arguments(about: str) -> argparse.ArgumentParser:
    """A parser with the option that all benchmarks share."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, help="write the JSON here as well as to stdout")
    return parser


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """Median, quartiles and extremes of repeated measurements.

    >>> spread([3.0, 1.0, 2.0])["median"]
    2.0
    """
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else []
    return {
        "median": statistics.median(values),
        "q1": quartiles[0] if quartiles else values[0],
        "q3": quartiles[2] if quartiles else values[0],
        "min": min(values),
        "max": max(values),
        "repeats": len(values),
    }


class Record:
    """Collects one benchmark's measurements; made before the first, written after the last.

    Args:
        seed: of everything random in it; None when nothing is.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._started = time.time()
        self._load = os.getloadavg()
        self._seed = seed

    def write(self, out: Path | None, results: dict[str, Any]) -> None:
        """Print envelope and results as JSON, and write them to `out` where it is given."""
        text = json.dumps(_rounded({**self.envelope(), "results": results}), indent=1) + "\n"
        sys.stdout.write(text)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, "utf-8")

    def envelope(self) -> dict[str, Any]:
        return {
            "command": command(),
            "commit": _git("rev-parse", "HEAD"),
            "uncommitted_changes": bool(
                _git("status", "--porcelain", "--", "src", "benchmarks", RESULTS)
            ),
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
            "seconds": time.time() - self._started,
            "seed": self._seed,
            "versions": {"python": platform.python_version(), **_versions()},
            "hardware": {
                "cpu": _cpu(),
                "cores": os.cpu_count(),
                "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
                "system": f"{platform.system()} {platform.release()}",
            },
            "threads": _threads(),
            # other work on the machine is part of what was measured
            "load_average": {"before": self._load[0], "after": os.getloadavg()[0]},
        }


def command() -> str:
    """The command line, with paths outside the repository reduced to their last part."""
    words = ["python", f"benchmarks/{Path(sys.argv[0]).name}"]
    for word in sys.argv[1:]:
        name, equals, value = word.rpartition("=")  # NAME=PATH, or a path alone
        path = Path(value).resolve()
        outside = not path.is_relative_to(ROOT) and ("/" in value)
        words.append(f"{name}{equals}{path.name}" if outside else word)
    return shlex.join(words)


def _git(*words: str) -> str | None:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((li.split(":", 1)[1].strip() for li in lines if li.startswith("model name")), "?")


def _threads() -> dict[str, Any]:
    torch = sys.modules.get("torch")  # a benchmark that never loaded it must not load it here
    return {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "torch": torch.get_num_threads() if torch else None,
        "niceness": os.nice(0),
    }


def _rounded(value: Any) -> Any:
    """Five significant digits are more than any of this is worth."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value
