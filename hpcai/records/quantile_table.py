"""How quantities are spread, as a table for people; rich is imported when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS: Final = ("min", "p10", "median", "mean", "p90", "max")


def quantile_table(spreads: Mapping[str, tuple[str, float, Mapping[str, Any]]]) -> Table:
    """Return a row for each quantity: its unit, quantiles times the factor to that unit, and what was filled."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "unit", *_COLUMNS, "filled"):
        table.add_column(column, justify="right" if column in (*_COLUMNS, "filled") else "left")
    for name, (unit, factor, spread) in spreads.items():
        figures = [f"{spread[column] * factor:.1f}" for column in _COLUMNS]
        table.add_row(name.replace("_", " "), unit, *figures, str(spread["filled"] or ""))
    return table
