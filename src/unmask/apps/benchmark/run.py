"""A whole comparison: pictures first, then run after run in processes, then the tables."""

from __future__ import annotations

import fcntl
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from unmask.apps.benchmark.material import Material, Say
from unmask.apps.benchmark.one import Job, run
from unmask.apps.benchmark.plan import Plan
from unmask.apps.machine import cores
from unmask.data.atomic import replace_text
from unmask.data.processes import without_interrupts
from unmask.errors import ConfigError
from unmask.evaluation.comparison.layout import CLEAN, UNSEEN
from unmask.evaluation.comparison.scores import facts_path, read_facts, scores_path, write_items
from unmask.evaluation.conditions import conditions, in_sweep, on_reals_only
from unmask.evaluation.spectra import SIDE, GroupSpectrum, group_spectrum
from unmask.evaluation.views import Batch, ViewStore
from unmask.models.registry import model_spec
from unmask.training.run import sized

PLAN, SPECTRA = "plan.json", "spectra.json"
SpectraFile = TypeAdapter(list[GroupSpectrum])
SPECTRUM_EACH = 200
"""Pictures of each group that the spectra are taken of, at most."""


@dataclass(frozen=True)
class Options:
    """How a comparison is carried out; nothing here changes a result.

    Attributes:
        work: what may be deleted: crops, views, checkpoints, logs.
        jobs: runs at a time, each with its share of the cores.
        compat: score the items of `unseen` by the checkpoint of every epoch, too.
    """

    work: Path
    jobs: int = 1
    compat: bool = False


def open_plan(out: Path, plan: Plan, resume: bool) -> None:
    """Write the plan into an output folder, or make sure that it is the one that is there.

    A plan may grow by arms and seeds: their runs join those that are there.

    Raises:
        ConfigError: the folder holds a comparison and is not resumed, or another one.
    """
    path = out / PLAN
    if path.is_file():
        if not resume:
            raise ConfigError(
                f"{out} already holds a comparison.",
                "Continue it with --resume, or choose another --out.",
            )
        plan = _grown(path, plan)
    elif out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty and holds no comparison.", "Choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    replace_text(path, plan.model_dump_json(indent=1) + "\n")


def read_plan(out: Path) -> Plan:
    """The plan of an output folder.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    path = out / PLAN
    if not path.is_file():
        raise ConfigError(f"{out} holds no comparison: it has no {PLAN}.")
    try:
        return Plan.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(f"{path} is no plan of a comparison: {error}") from error


def _grown(path: Path, plan: Plan) -> Plan:
    """The kept plan with the arms and seeds of the new one."""
    kept = read_plan(path.parent)
    old, new = kept.table, plan.table
    arms = {**old.arms, **new.arms}
    seeds = tuple(dict.fromkeys((*old.seeds, *new.seeds)))
    table = old.model_copy(update={"arms": arms, "seeds": seeds})
    changed = [
        name
        for name, same in {
            "the pictures": kept.items_sha256 == plan.items_sha256,
            "the protocol": kept.protocol == plan.protocol,
            "the precision": kept.precision == plan.precision,
            "the columns": (kept.unseen.keys(), kept.beside) == (plan.unseen.keys(), plan.beside),
            "the table": table.model_copy(update={"arms": {}, "seeds": ()})
            == new.model_copy(update={"arms": {}, "seeds": (), "reference": old.reference}),
            "an arm": all(old.arms.get(name, arm) == arm for name, arm in new.arms.items()),
        }.items()
        if not same
    ]
    if changed:
        raise ConfigError(
            f"{path.parent} holds a comparison that differs in {', '.join(changed)}.",
            "Choose another --out, or restore what it began with.",
        )
    return kept.model_copy(update={"table": table})


def carry_out(plan: Plan, material: Material, out: Path, options: Options, say: Say) -> list[str]:
    """Do every run of a plan that is not done yet.

    Args:
        plan: as `open_plan` wrote it, or a part of it.
        material: its pictures.
        out: output folder.
        options: how.
        say: told of every run.

    Returns:
        What failed, a line each; the other runs are done.
    """
    with alone(options.work):
        return _carry_out(plan, material, out, options, say)


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Keep a second command out of a work folder while this one runs.

    Raises:
        ConfigError: another command is at work there.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"Another command is at work in {work}.", "Wait for it, or choose another --work."
            ) from error
        yield


def _carry_out(plan: Plan, material: Material, out: Path, options: Options, say: Say) -> list[str]:
    write_items(out, material.items)
    jobs = list(_jobs(plan, material, out, options))
    todo = [job for job in jobs if not is_done(*job.key)]
    say(f"{len(jobs)} runs, {len(jobs) - len(todo)} of them done")
    if not todo:
        return []
    for job in todo:  # scores without facts are of a run that was stopped in between
        scores_path(out, job.arm, job.config.seed).unlink(missing_ok=True)
    _own(options.work, plan)
    specs = [sized(model_spec(job.config.model), job.config).input for job in todo]
    tests = max((job.tests for job in todo), key=lambda store: len(store.batches))
    for store, load in ((todo[0].reals, todo[0].training), (tests, material.test_crops())):
        store.make(load, specs, jobs=options.jobs)
        say(f"views of {sum(len(b.items) for b in store.batches)} pictures made")
    if not (out / SPECTRA).is_file():
        write_spectra(out, material, say)
    return run_all(todo, options.jobs, say)


def run_all(jobs: Sequence[Job], processes: int, say: Say) -> list[str]:
    """Run the jobs, each in a process of its own: what one leaves behind ends with it.

    One that is killed, for want of memory say, is a failure like any other.
    """
    failures = []
    running: list[ProcessPoolExecutor] = []
    with ThreadPoolExecutor(processes) as slots:
        waiting = {slots.submit(_in_process, job, running): job for job in jobs}
        try:
            for number, future in enumerate(as_completed(waiting), start=1):
                job = waiting[future]
                try:
                    say(f"[{number}/{len(jobs)}] {future.result()}")
                except Exception as error:  # whatever it is, the others go on
                    if not job.facts.is_file():
                        scores_path(job.out, job.arm, job.config.seed).unlink(missing_ok=True)
                    failures.append(f"{job.config.name}: {error}")
                    say(f"[{number}/{len(jobs)}] {job.config.name} failed, see {job.log}: {error}")
        except KeyboardInterrupt:
            slots.shutdown(wait=False, cancel_futures=True)
            for pool in running:
                for process in list((pool._processes or {}).values()):
                    process.terminate()
            raise
    return failures


def _in_process(job: Job, running: list[ProcessPoolExecutor]) -> str:
    with without_interrupts():
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        running.append(pool)
        done = pool.submit(run, job)  # starts the process, in here
    with pool:
        try:
            return done.result()
        finally:
            running.remove(pool)


def _own(work: Path, plan: Plan) -> None:
    """Make sure that what `work` holds is of the plan's pictures, and remember them there.

    Raises:
        ConfigError: it is of others, whose views and weights would be taken for these.
    """
    path = work / "pictures.txt"
    if path.is_file() and path.read_text("utf-8").strip() != plan.items_sha256:
        raise ConfigError(
            f"{work} holds views and runs of other pictures.",
            "Choose another --work, or delete it if its comparison is done.",
        )
    work.mkdir(parents=True, exist_ok=True)
    replace_text(path, plan.items_sha256 + "\n")


def is_done(
    out: Path,
    arm: str,
    seed: int,
    sha256: str,
    advice: str = "Choose another --out, or delete that run's scores and facts.",
) -> bool:
    """Whether a run is there.

    Args:
        out: folder of the comparison.
        arm, seed: which run.
        sha256: of what decides it.
        advice: what to do where it is there with another configuration.

    Raises:
        ConfigError: it is, with another configuration.
    """
    path = facts_path(out, arm, seed)
    if not path.is_file():
        return False
    if read_facts(out, arm, seed).config_sha256 == sha256:
        return True
    raise ConfigError(f"{path} was made with another configuration of {arm}.", advice)


def _jobs(plan: Plan, material: Material, out: Path, options: Options) -> Iterator[Job]:
    """Seed by seed, so that a comparison that was stopped has all arms."""
    first = read_plan(out).table.seeds[0]  # of the whole: a part may be without it
    embedded = embedded_items(material.items, plan.table.embedded_each)
    stores = {
        swept: ViewStore(
            options.work / "views",
            batches(material.items, plan.table.sweep_each if swept else 0),
            material.places,
            plan.seed,
        )
        for swept in (True, False)
    }
    reals = _validation_reals(material, options.work, plan.seed)
    unseen = material.items.filter(pl.col("sets").list.contains(UNSEEN))["item"].to_numpy()
    unseen = unseen.astype(np.intp)
    for seed in plan.table.seeds:
        for arm in plan.table.arms:
            yield Job(
                arm=arm,
                config=plan.table.config(arm, seed, plan.families),
                training=material.training_crops(),
                tests=stores[seed == first],
                reals=reals,
                embedded=embedded if seed == first and embedded[1] else None,
                out=out,
                work=options.work,
                threads=max(1, cores() // options.jobs),
                precision=plan.precision,
                per_epoch=unseen if options.compat else None,
            )


def _validation_reals(material: Material, work: Path, seed: int) -> ViewStore:
    crops = material.training_crops()()
    places = crops.where(lambda item: item.split == "val" and item.label == 0)
    numbers = np.arange(len(places))
    return ViewStore(work / "validation", (Batch(CLEAN, numbers),), np.array(places), seed)


def batches(items: pl.DataFrame, sweep_each: int) -> tuple[Batch, ...]:
    """What is scored under which condition.

    Args:
        items: numbered.
        sweep_each: fakes per unseen family in the sweep; without, there is none.
    """
    every = items["item"].to_numpy().astype(np.intp)
    reals = every[items["label"].to_numpy() == 0]
    swept = swept_items(items, sweep_each)
    return tuple(
        Batch(name, swept if in_sweep(name) else reals if on_reals_only(name) else every)
        for name in conditions(sweep=bool(len(swept)))
    )


def _spread(numbers: NDArray[np.intp], count: int) -> list[int]:
    """At most `count` of them, evenly spread over their order."""
    if len(numbers) <= count:
        return [int(n) for n in numbers]
    return [int(numbers[i]) for i in np.linspace(0, len(numbers) - 1, count).round().astype(int)]


def _groups(items: pl.DataFrame, where: pl.Expr) -> Mapping[str, NDArray[np.intp]]:
    """Family -> item numbers; '' is reals."""
    chosen = items.filter(where)
    families = sorted(chosen["family"].unique().to_list())
    return {
        family: chosen.filter(pl.col("family") == family)["item"].to_numpy().astype(np.intp)
        for family in families
    }


def swept_items(items: pl.DataFrame, each: int) -> NDArray[np.intp]:
    """Item numbers of the sweep: `each` fakes of every unseen family, and as many reals as fakes.

    The same for one table of items, whatever is run.
    """
    if not each:
        return np.empty(0, np.intp)
    groups = dict(_groups(items, pl.col("sets").list.contains(UNSEEN)))
    reals = groups.pop("")
    fakes = [n for numbers in groups.values() for n in _spread(numbers, each)]
    return np.array(sorted(_spread(reals, len(fakes)) + fakes), np.intp)


def embedded_items(items: pl.DataFrame, each: int) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Item numbers for the picture of the embedding, and the group of each: `real` or a family."""
    numbers: list[int] = []
    names: list[str] = []
    for family, members in _groups(items, pl.lit(True)).items():
        chosen = _spread(members, each)
        numbers += chosen
        names += [family or "real"] * len(chosen)
    return np.array(numbers, np.intp), tuple(names)


def write_spectra(out: Path, material: Material, say: Say) -> None:
    """Write the spectra of every group of test items into an output folder, for its page."""
    replace_text(out / SPECTRA, SpectraFile.dump_json(_spectra(material, say)).decode() + "\n")


def _spectra(material: Material, say: Say) -> list[GroupSpectrum]:
    crops = material.test_crops()()
    found = []
    for family, members in _groups(material.items, pl.lit(True)).items():
        images = [crops.image(int(material.places[n])) for n in _spread(members, SPECTRUM_EACH)]
        large = [image for image in images if image.shape[0] >= SIDE]
        if len(large) < len(images):
            small = f"{len(images) - len(large)} of {len(images)} {family or 'real'} pictures"
            say(f"spectra: {small} are left out, being smaller than {SIDE} pixels")
        if large:
            found.append(group_spectrum(family or "real", large))
    return found
