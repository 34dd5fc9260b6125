"""Named train / validation / test combinations, as data: the YAML files beside this module.

A protocol names selections of data sets, never files. `unmask.data.protocols.resolve` finds the
rows and refuses what would leak; what can be seen from the protocol alone is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unmask.data.protocols.normalise import Normalise
from unmask.errors import ConfigError
from unmask.synthesis.families import SPECS

Split = Literal["train", "val", "test"]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Selection(_Model):
    """Rows of one data set. What is null does not restrict."""

    dataset: str
    """Name under which `resolve` is given the index."""
    label: Literal[0, 1]
    manipulations: Names | None = None
    """Of fakes: names, or families: `inpaint` stands for `inpaint-telea` too."""
    without: tuple[str, ...] = ()
    """Manipulations or families that are left out; they need not be there."""
    compressions: Names | None = None
    sources: Names | None = None
    splits: Annotated[tuple[Split, ...], Field(min_length=1)] | None = None
    """As `Protocol.divide` says; rows without a split are then left out."""

    @model_validator(mode="after")
    def _reals_have_no_manipulation(self) -> Selection:
        if self.label == 0 and (self.manipulations or self.without):
            raise ValueError("a selection of reals (label 0) cannot name manipulations")
        return self

    def condition(self) -> pl.Expr:
        """What the rows have in common, but for their split."""
        keep = pl.col("label") == self.label
        if self.manipulations is not None:
            keep &= any_of("manipulation", self.manipulations)
        if self.without:
            keep &= ~any_of("manipulation", self.without)
        for column, names in (("compression", self.compressions), ("source", self.sources)):
            if names is not None:
                keep &= pl.col(column).is_in(list(names))
        return keep

    def __str__(self) -> str:
        """In words, for messages and tables."""
        kind = "reals" if self.label == 0 else "/".join(self.manipulations or ("fakes",))
        parts = [
            f"{self.dataset} {kind}",
            f"without {'/'.join(self.without)}" if self.without else "",
            *(f"of {'/'.join(n)}" for n in (self.compressions, self.sources) if n),
            f"in {'/'.join(self.splits)}" if self.splits else "",
        ]
        return " ".join(part for part in parts if part)


def any_of(column: str, names: tuple[str, ...]) -> pl.Expr:
    """Whether a column holds one of the names, or a kind `name-...` of one."""
    value = pl.col(column)
    hits = [(value == name) | value.str.starts_with(f"{name}-") for name in names]
    return pl.any_horizontal(hits)


class Protocol(_Model):
    """What is trained on, what selects, and what is tested.

    Validation items may only be of the data sets and manipulations that are trained on: whatever
    the test holds is not known before the end.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:>-]*$")
    summary: str
    train: Annotated[tuple[Selection, ...], Field(min_length=2)]
    val: Annotated[tuple[Selection, ...], Field(min_length=2)]
    tests: Annotated[
        dict[str, Annotated[tuple[Selection, ...], Field(min_length=2)]], Field(min_length=1)
    ]
    """Test set by name."""
    divide: Literal["own", "identity"] = "own"
    """`own`: `splits` are the data set's own. `identity`: a row without one is on the side of its
    people (70/10/20 by a hash of the identity); fakes of two people on two sides are left out."""
    same_people: tuple[Names, ...] = ()
    """Data sets that call the same people by the same names."""
    leave_out_seen: tuple[str, ...] = ()
    """Tests from which people of training and validation are taken out, where the data set's own
    split is another one; they are counted. Without it such a test is refused."""
    normalise: Normalise | None = None
    """The chain every picture goes through; without it, classes that differ are refused."""

    @model_validator(mode="after")
    def _both_classes_and_known_validation(self) -> Protocol:
        for name, selections in self.sets().items():
            if {s.label for s in selections} != {0, 1}:
                raise ValueError(f"{name} needs selections of both classes, label 0 and label 1")
        absent = sorted(set(self.leave_out_seen) - set(self.tests))
        if absent:
            raise ValueError(f"leave_out_seen names no test: {', '.join(absent)}")
        trained = {s.dataset for s in self.train}
        foreign = sorted({s.dataset for s in self.val} - trained)
        if foreign:
            raise ValueError(
                f"val selects from {', '.join(foreign)}, which is not trained on: selection on "
                "anything but validation items of the training sources would leak the test"
            )
        return self

    def sets(self) -> dict[str, tuple[Selection, ...]]:
        """`train`, `val` and `test <name>` with their selections."""
        tests = {f"test {name}": selections for name, selections in self.tests.items()}
        return {"train": self.train, "val": self.val, **tests}

    def datasets(self) -> tuple[str, ...]:
        """The names under which indices are needed, sorted."""
        return tuple(sorted({s.dataset for chosen in self.sets().values() for s in chosen}))


def read_protocols(text: str, where: str) -> list[Protocol]:
    """Protocols from YAML: a list, each a `Protocol`, or a template with `each: {NAME: VALUES}`.

    A template stands for one protocol per value: `{NAME}` in its texts is replaced. VALUES is a
    list, or `families` for all families of `unmask.synthesis`.

    Args:
        text: YAML.
        where: name of the file, for messages.

    Raises:
        ConfigError: not YAML, or a protocol that cannot be, with its field.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {error}") from error
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        raise ConfigError(f"{where} must be a list of protocols.")
    found = []
    for entry in raw:
        for filled in _filled(entry, where):
            try:
                found.append(Protocol.model_validate(filled))
            except ValidationError as error:
                lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
                raise ConfigError(
                    f"The protocol {filled.get('name')} in {where} cannot be:\n  "
                    + "\n  ".join(lines)
                ) from error
    return found


def _filled(entry: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    each = entry.get("each")
    plain = {key: value for key, value in entry.items() if key != "each"}
    if each is None:
        yield plain
        return
    if not isinstance(each, dict) or len(each) != 1:
        raise ConfigError(f"{where}: each must name one variable and its values; got {each!r}.")
    ((variable, values),) = each.items()
    for value in list(SPECS) if values == "families" else values:
        yield _replaced(plain, "{" + str(variable) + "}", str(value))


def _replaced(node: Any, placeholder: str, value: str) -> Any:
    if isinstance(node, dict):
        return {
            _replaced(key, placeholder, value): _replaced(item, placeholder, value)
            for key, item in node.items()
        }
    if isinstance(node, list):
        return [_replaced(item, placeholder, value) for item in node]
    return node.replace(placeholder, value) if isinstance(node, str) else node


@cache
def protocols() -> Mapping[str, Protocol]:
    """The protocols that come with the package, by name."""
    found: dict[str, Protocol] = {}
    folder = resources.files("unmask.data.protocols")
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            for entry in read_protocols(file.read_text("utf-8"), file.name):
                if entry.name in found:
                    raise ConfigError(f"Two protocols are called {entry.name}.")
                found[entry.name] = entry
    return found


def protocol(name: str) -> Protocol:
    """Look a protocol up.

    Raises:
        ConfigError: there is none of that name; the message lists them.
    """
    known = protocols()
    if name not in known:
        close = [other for other in known if other.startswith(f"{name}:")] or list(known)
        raise ConfigError(f"There is no protocol {name!r}.", f"Choose of: {', '.join(close)}.")
    return known[name]
