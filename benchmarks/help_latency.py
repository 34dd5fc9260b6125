"""How long `unmask --help` takes, beside an interpreter that does nothing, and what it loads."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from record import ROOT, Record, arguments, spread

GOAL_SECONDS = 0.3
HEAVY = ("torch", "torchvision", "timm", "numpy", "av", "cv2", "PIL", "pydantic")
PROBE = """
import atexit, sys
atexit.register(lambda: print("loaded:", *[n for n in {heavy!r} if n in sys.modules]))
sys.argv[1:] = ["--help"]
from unmask.apps.cli import main
main()
"""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    record = Record()
    script = Path(sys.executable).with_name("unmask")
    commands = {
        "unmask --help": [str(script), "--help"],
        "unmask scan --help": [str(script), "scan", "--help"],
        "python -m unmask --help": [sys.executable, "-m", "unmask", "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    for command in commands.values():  # byte code and disk cache
        seconds(command)
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(given.repeats):
        for name, command in commands.items():
            taken[name].append(seconds(command))
    beyond = [a - b for a, b in zip(taken["unmask --help"], taken["python -c pass"], strict=True)]
    median = spread(taken["unmask --help"])["median"]
    record.write(
        given.out,
        {
            "seconds": {name: spread(values) for name, values in taken.items()},
            "seconds_beyond_bare_python": spread(beyond),
            "heavy_modules_loaded": loaded(),
            "goal_seconds": GOAL_SECONDS,
            "goal_met": median < GOAL_SECONDS and not loaded(),
        },
    )


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - started


def loaded() -> list[str]:
    """Of `HEAVY`, what `--help` imports."""
    probe = [sys.executable, "-c", PROBE.format(heavy=HEAVY)]
    done = subprocess.run(probe, check=True, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.splitlines()[-1].split()[1:]


if __name__ == "__main__":
    main()
