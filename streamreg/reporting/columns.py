"""Columns of a table, as notebooks list them."""

from collections.abc import Mapping, Sequence

from streamreg.reporting.table import Column, Table

_SHOWN = 30


def listed(
    title: str,
    facts: Sequence[tuple[str, str]],
    names: Sequence[str],
    about: Mapping[str, Sequence[str]],
    roles: Mapping[str | None, str],
) -> Table:
    """Return a table with a line for each of the first columns.

    Parameters
    ----------
    title : str
    facts : sequence of (name, value)
    names : sequence of str
    about : mapping of str to sequences
        What else is known of each column, by what it is called.
    roles : mapping of str to str
        Of columns that are no features.
    """
    shown = list(names[:_SHOWN])
    notes = [f"... and {len(names) - _SHOWN:,} more columns"] if len(names) > _SHOWN else []
    columns = [
        Column.of("column", shown),
        *(Column.of(name, values[:_SHOWN]) for name, values in about.items()),
        Column.of("role", [roles.get(name, "") for name in shown]),
    ]
    return Table(title, [*facts, ("columns", f"{len(names):,}")], columns, notes)
