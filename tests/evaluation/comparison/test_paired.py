"""Holm's adjusted p values against the step-down procedure itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unmask.evaluation.comparison.paired import holm


def _rejected(p_values: list[float], level: float) -> set[int]:
    """Smallest p at level / m, next at level / (m - 1), and so on until one is not rejected."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected: set[int] = set()
    for place, index in enumerate(order):
        if p_values[index] * (len(p_values) - place) > level:
            break
        rejected.add(index)
    return rejected


@given(
    st.lists(st.floats(0.0001, 1.0), max_size=8),
    st.floats(0.001, 0.5),
)
def test_adjusted_p_decides_as_the_procedure(p_values: list[float], level: float) -> None:
    adjusted = holm(p_values)
    assert {i for i, p in enumerate(adjusted) if p <= level} == _rejected(p_values, level)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
