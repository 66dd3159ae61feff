"""What is in the columns of a table: missing values, ranges, levels; one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from streamreg import sources
from streamreg.design.formula.expressions import Expression, Name
from streamreg.design.formula.profile import Inquiry, Key, Need, Profile
from streamreg.errors import NotFound, UsageError, nearest, typed
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table
from streamreg.scans.formulas import profiled
from streamreg.scans.run import Run
from streamreg.sources.base import Source

_SHOWN = 5
_QUARTERS = [0.25, 0.5, 0.75]


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What one column holds.

    Attributes
    ----------
    name, dtype : str
    n, missing : int
        Rows with and without a value.
    low, high : float, str or None
        The least and the greatest value; of dates as texts. None: text, or no value.
    mean, std : float or None
        Of numbers; the divisor is n - 1.
    quartiles : tuple of float
        Of numbers, interpolated as NumPy does it; to about 1 in 10,000 where there are more than 65,536 values.
    distinct : int or None
        Different values; None: too many to be told apart.
    levels : tuple of (value, int)
        The most frequent values of text and truth values, and how often each occurs.
    """

    name: str
    dtype: str
    n: int
    missing: int
    low: float | str | None = None
    high: float | str | None = None
    mean: float | None = None
    std: float | None = None
    quartiles: tuple[float, ...] = ()
    distinct: int | None = None
    levels: tuple[tuple[Any, int], ...] = ()


@dataclass(frozen=True, slots=True)
class TableProfile(Final):
    """What the columns of a table hold; print it.

    Attributes
    ----------
    source : str
    rows : int
    columns : tuple of ColumnProfile
    """

    KIND: ClassVar[str] = "profile"

    source: str
    rows: int
    columns: tuple[ColumnProfile, ...]

    def __getitem__(self, name: str) -> ColumnProfile:
        """Return one column. Raises `NotFound` if there is none of this name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound(f"{self.source}: no column {name!r}{nearest(name, [c.name for c in self.columns])}")

    @typed
    def table(self, rows: int | None = None) -> Table:
        """Return a table with a line for each of the first `rows` columns."""
        shown = self.columns[:rows]
        columns = [
            Column.of("column", [c.name for c in shown]),
            Column.of("dtype", [c.dtype for c in shown], header="type"),
            Column.of("missing", [c.missing for c in shown], lambda v: f"{v:,}"),
            Column.of("low", [c.low for c in shown], _shown, "least"),
            Column.of("mean", [c.mean for c in shown], _shown),
            Column.of("high", [c.high for c in shown], _shown, "greatest"),
            Column("distinct", "values", [c.distinct for c in shown], [_counted(c) for c in shown]),
        ]
        more = len(self.columns) - len(shown)
        notes = [f"... and {more:,} more columns"] if more else []
        return Table(f"{self.source}: {self.rows:,} rows", [], columns, notes)

    @typed
    def summary(self, rows: int | None = None) -> str:
        """Return the table as text, with a line for each of the first `rows` columns."""
        return self.table(rows).text()


@typed
def profile(
    data: Any,
    columns: Sequence[str] | None = None,
    *,
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
) -> TableProfile:
    """Read a table once, and say what its columns hold: missing values, ranges, quartiles, levels.

    Parameters
    ----------
    data : Source, or anything that `streamreg.open` takes
    columns : sequence of str, optional
        Default: all that hold numbers, text or dates.
    threads, progress, engine
        As in `streamreg.scan`. The result is the same for any engine and number of workers.

    Raises
    ------
    NotFound
        There is no such column.
    UsageError
        A column is neither of numbers, nor text, nor dates.
    DataError
        A value is infinite.

    Notes
    -----
    Cost: one pass; for each column up to 1 MB, and 200,000 texts, a worker.
    """
    source: Source = sources.open(data)
    schema = source.schema
    usable = tuple(name for name in schema.names if schema.numeric(name) or schema.dtype(name).kind in "TM")
    chosen = usable if columns is None else tuple(schema.require(name, source.label) for name in columns)
    for name in chosen:
        if name not in usable:
            raise UsageError(f"{source.label}: column {name!r} is neither of numbers, nor text, nor dates")
    wanted: dict[Key, tuple[Expression, Need]] = {}
    for name in chosen:
        kind = schema.dtype(name).kind
        need = Need(levels=True, bounded=True) if kind in "Tb" else Need(counts=True, powers=2)
        wanted[name, kind in "Tb"] = (Name(name), need)
    found = profiled(source, Inquiry(wanted, zones=schema.zones), Run.of(threads, engine, progress), "profile")
    made = tuple(_column(key, found[key], schema.dtype(key[0])) for key in wanted)
    rows = max((column.n + column.missing for column in made), default=0)
    return TableProfile(source.label, rows, made)


def _column(key: Key, found: Profile, dtype: np.dtype[Any]) -> ColumnProfile:
    name, levels = key
    shown = "text" if dtype.kind == "T" else str(dtype)
    counts = found.counts
    if levels:
        values, times = found.levels()
        order = sorted(range(len(values)), key=lambda k: (-times[k], k))[:_SHOWN]
        most = tuple((values[k], times[k]) for k in order)
        return ColumnProfile(
            name, shown, found.n, found.missing, distinct=len(values) if counts.exact else None, levels=most
        )
    if not found.n:
        return ColumnProfile(name, shown, 0, found.missing, distinct=0)
    quartiles = found.quantiles(_QUARTERS)
    distinct = len(counts.keys) if counts.exact else None
    if dtype.kind == "M":
        low, high = (str(np.datetime64(round(day * 86400), "s")) for day in (found.low, found.high))
        return ColumnProfile(name, shown, found.n, found.missing, low, high, distinct=distinct)
    mean = found.mean
    std = float(found.variance(1, mean)) ** 0.5 if found.n > 1 else None
    return ColumnProfile(
        name, shown, found.n, found.missing, found.low, found.high, float(mean), std, quartiles, distinct
    )


def _shown(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.6g}"


def _counted(column: ColumnProfile) -> str:
    if column.distinct is None:
        return "many"
    most = ", ".join(f"{value}: {count:,}" for value, count in column.levels[:2])
    more = ", ..." if column.distinct > 2 else ""
    return f"{column.distinct:,}" + (f" ({most}{more})" if most else "")
