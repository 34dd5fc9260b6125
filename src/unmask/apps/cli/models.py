"""`unmask models`: which weights can be scanned with, which networks can be trained."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import click

from unmask.errors import CheckpointError, ConfigError


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def models(name: str | None, as_json: bool) -> None:
    """List and describe models.

    Without NAME all are listed. Weights can be scanned with (`unmask scan --model`), networks
    can be trained.
    """
    known = {**{card["name"]: card for card in cards()}, **networks()}
    if name is not None and name not in known:
        raise ConfigError(f"No model is called {name}.", f"Choose one of: {', '.join(known)}.")
    if name is None:
        click.echo(json.dumps(known, indent=2)) if as_json else _list(known)
        return
    entry = known[name]
    if entry["kind"] == "network":
        entry["parameters"] = _parameters(name)
    click.echo(json.dumps(entry, indent=2)) if as_json else _describe(entry)


def cards() -> list[dict[str, Any]]:
    """The cards of the packaged weights, as they stand in their files, by name.

    Raises:
        CheckpointError: a card is not a JSON object.
    """
    found: list[dict[str, Any]] = []
    for file in sorted(resources.files("unmask").joinpath("weights").iterdir(), key=str):
        if not file.name.endswith(".json"):
            continue
        try:
            card = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(
                f"The model card {file.name} is damaged: {error}.", "Install unmask again."
            ) from error
        if not isinstance(card, dict):
            raise CheckpointError(
                f"The model card {file.name} is damaged.", "Install unmask again."
            )
        found.append({"name": file.name.removesuffix(".json"), "kind": "weights", **card})
    return found


def networks() -> dict[str, dict[str, Any]]:
    """What the registry knows of each network, without building any."""
    from unmask.models.registry import MODELS

    found: dict[str, dict[str, Any]] = {}
    for name, spec in MODELS.items():
        found[name] = {
            "name": name,
            "kind": "network",
            "summary": spec.summary,
            "paper": spec.paper,
            "input": _plain(spec.input),
            "config": _plain(spec.config),
            "pretrained": spec.pretrained,
        }
    return found


def _plain(value: Any) -> Any:
    """What JSON can hold of a settings object, pydantic or dataclass."""
    from dataclasses import asdict, is_dataclass

    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _parameters(name: str) -> int:
    """Built for the purpose, which takes a second for the large ones."""
    from unmask.models.registry import model_spec

    return sum(parameter.numel() for parameter in model_spec(name).create().parameters())


def _list(known: dict[str, dict[str, Any]]) -> None:
    width = max(len(name) for name in known)
    for kind, title in (("weights", "Weights, for --model"), ("network", "Networks, to train")):
        of_kind = {name: entry for name, entry in known.items() if entry["kind"] == kind}
        click.echo(f"{title}:" if of_kind else f"{title}: none")
        for name, entry in of_kind.items():
            count = entry.get("parameters")
            size = f"{count / 1e6:7.2f} M" if isinstance(count, int) else " " * 9
            text = entry.get("summary") or entry.get("architecture", "")
            licence = entry.get("licence")
            click.echo(f"  {name:<{width}}  {size}  {text}" + (f"  ({licence})" if licence else ""))


def _describe(entry: dict[str, Any], indent: str = "") -> None:
    for key, value in entry.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{key}:")
            _describe(value, indent + "  ")
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for number, one in enumerate(value, 1):
                click.echo(f"{indent}{key} {number}:")
                _describe(one, indent + "  ")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            click.echo(f"{indent}{key}: {text}")
