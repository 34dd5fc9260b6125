"""The state of an annotation store, as an object and as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unmask.apps.cli.output import printable
from unmask.data.annotation.queue import Entry, read_queue, standing_refusals, with_states
from unmask.data.annotation.store import LOG_FILE, Annotations
from unmask.errors import ConfigError

SCHEMA = "unmask.annotation-status/1"
SHOWN = 20


def status_of(store: Path) -> dict[str, Any]:
    """How far a store is, as `unmask annotate status --format json` gives it.

    Raises:
        ConfigError: it holds neither queue nor masks.
        DatasetError: a file of it is damaged.
    """
    answers = Annotations(store)
    queue = with_states(read_queue(store), answers)
    if not queue and not (store / LOG_FILE).is_file():
        raise ConfigError(
            f"{store} holds no queue and no masks.",
            "`unmask annotate select INDEX --out STORE` makes one.",
        )
    people: dict[str, Counter[str]] = {}
    for record in answers.all():
        people.setdefault(record.annotator, Counter())[record.kind] += 1
    queued = {entry.sha256 for entry in queue}
    kinds = ("mask", "no_forgery", "skipped")
    return {
        "schema": SCHEMA,
        "store": str(store),
        "queue": {"selected": len(queue), **_counted(queue, ("open", *kinds))},
        "rules": dict(Counter(entry.rule for entry in queue)),
        "beside_queue": sum(record.sha256 not in queued for record in answers.all()),
        "annotators": {
            name: {kind: counts[kind] for kind in kinds} for name, counts in sorted(people.items())
        },
        "skipped": [
            {"picture": r.picture, "annotator": r.annotator, "note": r.note}
            for r in answers.all()
            if r.kind == "skipped"
        ],
        "refused": [r.model_dump(mode="json") for r in standing_refusals(store, answers)],
    }


def _counted(queue: Sequence[Entry], states: tuple[str, ...]) -> dict[str, int]:
    counts = Counter[str](entry.state for entry in queue)
    return {state: counts[state] for state in states}


def lines(document: dict[str, Any]) -> list[str]:
    """The lines of `unmask annotate status`, of what it gives as JSON."""
    queue = document["queue"]
    total, left = queue["selected"], queue["open"]
    share = f" ({(total - left) / total:.0%})" if total else ""
    shown = [
        f"queue: {total - left} of {total} answered{share}: {queue['mask']} masks, "
        f"{queue['no_forgery']} without forgery, {queue['skipped']} skipped; {left} open"
    ]
    if document["rules"]:
        rules = ", ".join(f"{count} by {rule}" for rule, count in document["rules"].items())
        shown.append(f"selected: {rules}")
    if document["beside_queue"]:
        shown.append(f"answered without being in the queue: {document['beside_queue']}")
    width = max((len(name) for name in document["annotators"]), default=0)
    for name, counts in document["annotators"].items():
        told = f"{counts['mask']} masks, {counts['no_forgery']} without forgery"
        shown.append(f"  {printable(name):<{width}}  {told}, {counts['skipped']} skipped")
    shown += _listed(
        "skipped", [f"{r['picture']} by {r['annotator']}: {r['note']}" for r in document["skipped"]]
    )
    shown += _listed(
        "refused",
        [f"{r['file']} of {r['annotator']}: {r['reason']}" for r in document["refused"]],
    )
    return shown


def _listed(what: str, entries: list[str]) -> list[str]:
    more = [f"  and {len(entries) - SHOWN} more; --format json lists all"]
    head = [f"{what}: {len(entries)}"] if entries else []
    return head + [f"  {printable(e)}" for e in entries[:SHOWN]] + more * (len(entries) > SHOWN)
