"""Which fakes of an index are of a family, and which were made from which of its reals."""

from __future__ import annotations

from collections.abc import Sequence

from unmask.data.items import Item


def own_fakes(
    items: Sequence[Item], reals: Sequence[int], fakes: Sequence[int]
) -> dict[int, list[int]]:
    """The fakes of each real: of the same name and person, or else of the same person.

    `unmask synthesize` gives a fake the file name of its real. Of a swap the person is the one
    whose picture it is, who is named first (`a+b` is a with the face of b).

    Args:
        items: of the index.
        reals, fakes: which of them.

    Returns:
        real -> its fakes; reals without any are left out.
    """
    named: dict[tuple[str, str], list[int]] = {}
    filmed: dict[str, list[int]] = {}
    for fake in fakes:
        person = items[fake].identity.split("+")[0]
        named.setdefault((person, items[fake].path.name), []).append(fake)
        filmed.setdefault(person, []).append(fake)
    found = {}
    for real in reals:
        person = items[real].identity
        own = named.get((person, items[real].path.name)) or filmed.get(person)
        if person and own:
            found[real] = own
    return found


def is_of(generator: str, name: str) -> bool:
    """Whether a generator of an index is `name`, or a kind of that family: `inpaint-telea`."""
    return generator == name or generator.startswith(f"{name}-")
