"""`unmask verify`: can a second examiner repeat what was recorded?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.apps.cli import backend
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.results import Result
    from unmask.scan.repeat import Check

    Locate = Callable[[Result], str]

EPILOG = """\b
Exit codes:
    0  everything was repeated and agrees
    1  something does not agree
    2  the command line or the configuration cannot work
    3  what could be repeated agrees, but not all could
    4  nothing could be repeated"""


@click.command(epilog=EPILOG)
@click.argument("result", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("media", required=False)
@click.option("--index", type=click.IntRange(min=1), help="Only the result in this place, from 1.")
@click.option("--path", "only", help="Only results whose recorded path ends with this.")
@click.option("--model", help="Instead of the recorded one, e.g. its .safetensors file.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of `unmask calibrate`, if the results were made with one.",
)
@click.option(
    "--device", default="cpu", show_default=True, help="auto, cpu, cuda, cuda:1, mps, openvino."
)
@click.option(
    "--max-frames",
    type=click.IntRange(min=1),
    help="Instead of the recorded number; another one gives another settings hash.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    help="Largest difference of scores.  [1e-4 on cpu, 5e-3 where an accelerator took part]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per check.")
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    result: Path,
    media: str | None,
    index: int | None,
    only: str | None,
    model: str | None,
    calibration: Path | None,
    device: str,
    max_frames: int | None,
    tolerance: float | None,
    as_json: bool,
) -> None:
    """Check that recorded results can be repeated.

    RESULT is a file of results (JSONL, or one JSON object). The media is looked for where the
    result says (also from the folder of RESULT), or at MEDIA, a file or a folder with the files
    somewhere in it. It is hashed, decoded and scored again as recorded, and every field of the
    result is compared except the path, seconds, device and heatmaps.
    """
    from unmask.scan.repeat import compare, read_results
    from unmask.scan.whereabouts import InFolder, Recorded

    whole = media is None or os.path.isdir(media)
    chosen = _choose(read_results(result), None if whole else media, index, only)
    if media is None:
        locate: Locate = Recorded(os.path.dirname(result)).find
    else:
        locate = InFolder(media).find if whole else lambda _: str(media)
    checks: list[Check] = []
    for recorded, now in _repeat(chosen, locate, model, calibration, device, max_frames):
        new = compare(recorded, now, tolerance)
        checks += new
        _show(new, as_json)
    click.echo(_summary(checks, len(chosen)), err=True)
    ctx.exit(_exit_code(checks))


def _choose(
    results: list[Result], media: str | None, index: int | None, only: str | None
) -> list[Result]:
    """The results that are asked for; with MEDIA exactly one."""
    from unmask.scan.store import sha256_of

    if index is not None:
        if index > len(results):
            raise ConfigError(f"There is no result {index}: the file holds {len(results)}.")
        results = results[index - 1 : index]
    if only is not None:
        results = [r for r in results if r.input.path.endswith(only)]
        if not results:
            raise ConfigError(f"No result is of a path that ends with {only}.")
    if media is None or len(results) == 1:
        return results
    try:
        digest = sha256_of(media)
    except OSError as error:
        raise ConfigError(f"{media} cannot be read: {error.strerror}.") from error
    same = [r for r in results if r.input.sha256 == digest]
    if not same:
        raise ConfigError(
            f"None of the {len(results)} results is of a file with the content of {media}.",
            "Say which to compare with: --index N or --path NAME.",
        )
    return same[:1]


def _repeat(
    chosen: list[Result],
    locate: Locate,
    model: str | None,
    calibration: Path | None,
    device: str,
    max_frames: int | None,
) -> Iterator[tuple[Result, Result]]:
    """Recorded and repeated results, one recorded model with its settings after the other."""
    from unmask.scan.local import Plan, scan

    def conditions(result: Result) -> tuple[str, int, tuple[tuple[str, int | float], ...]]:
        run = result.run
        frames = max_frames or (run and run.max_frames) or backend.DEFAULT_FRAMES
        limits = tuple(sorted(run.limits.items())) if run else ()
        return model or (run.model if run else backend.DEFAULT_MODEL), frames, limits

    for used, group in groupby(sorted(chosen, key=conditions), key=conditions):
        recorded = list(group)
        name, frames, changed = used
        limits = backend.recorded_limits(dict(changed))
        detector = backend.make_detector(name, device, frames, calibration)
        plan = Plan([locate(r) for r in recorded], limits=dict(changed))
        with backend.make_pool(None, frames, limits) as pool:
            for old, outcome in zip(recorded, scan(plan, detector, pool.map), strict=True):
                yield old, outcome.result


def _show(checks: list[Check], as_json: bool) -> None:
    from unmask.apps.cli.output import printable

    if as_json:
        for check in checks:
            click.echo(json.dumps(asdict(check)))
        return
    click.echo(printable(checks[0].path))
    width = max(24, *(len(check.name) for check in checks))
    for check in checks:
        word = {True: "same", False: "DIFFERS", None: "unknown"}[check.ok]
        values = check.recorded if check.ok else f"recorded {check.recorded}, now {check.now}"
        click.echo(printable(f"  {word:<8} {check.name:<{width}} {values}"))


def _summary(checks: list[Check], results: int) -> str:
    differ = [check for check in checks if check.ok is False]
    unknown = sum(check.ok is None for check in checks)
    parts = [f"{results} result{'' if results == 1 else 's'}, {len(checks)} checks"]
    parts.append(f"{len(differ)} differ" if differ else "none differs")
    if unknown:
        parts.append(f"{unknown} could not be repeated (run it where the scan ran, or give MEDIA)")
    if any(check.name == "settings sha256" for check in differ):
        parts.append("the settings differ: was --max-frames or --calibration another then?")
    return "; ".join(parts)


def _exit_code(checks: list[Check]) -> int:
    from unmask.scan.tally import DONE, FAIL_ON, INCOMPLETE, NOTHING_SCORED

    if any(check.ok is False for check in checks):
        return FAIL_ON
    if all(check.ok is None for check in checks):
        return NOTHING_SCORED
    return INCOMPLETE if any(check.ok is None for check in checks) else DONE
