"""Parts of dates: year(t), month(t) and so on, on the clock of the column's time zone."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import DataError
from streamreg.sources.chunk import Coded, Column

Float = NDArray[np.float64]
Times = NDArray[Any]


def _within(unit: str, larger: str) -> Callable[[Times], NDArray[Any]]:
    return lambda t: (t.astype(f"M8[{unit}]") - t.astype(f"M8[{larger}]").astype(f"M8[{unit}]")).astype(np.int64)


PARTS: dict[str, Callable[[Times], NDArray[Any]]] = {
    "year": lambda t: t.astype("M8[Y]").astype(np.int64) + 1970,
    "quarter": lambda t: t.astype("M8[M]").astype(np.int64) % 12 // 3 + 1,
    "month": lambda t: t.astype("M8[M]").astype(np.int64) % 12 + 1,
    "day": lambda t: _within("D", "M")(t) + 1,
    "dayofyear": lambda t: _within("D", "Y")(t) + 1,
    "weekday": lambda t: (t.astype("M8[D]").astype(np.int64) + 3) % 7,
    "hour": _within("h", "D"),
    "minute": _within("m", "h"),
    "second": _within("s", "m"),
}
"""Functions of dates. Weekdays are 0 (Monday) to 6, as in Python and pandas."""


def part(name: str, values: Column, column: str, zone: str | None, label: str) -> Float:
    """Return a part of dates as numbers, shape (m,); NaN where a date is missing.

    Raises
    ------
    DataError
        The column does not hold dates, or its time zone is not known.
    """
    if isinstance(values, Coded) or values.dtype.kind != "M":
        raise DataError(f"{label}: {name}({column}) needs dates, and column {column!r} holds none")
    missing = np.isnat(values)
    times = np.where(missing, np.zeros(1, values.dtype), values)
    if zone is not None:
        times = _local(times, zone, column, label)
    return np.where(missing, np.nan, PARTS[name](times).astype(np.float64))


def days(values: NDArray[Any]) -> Float:
    """Return dates as days since 1970-01-01; the whole days are taken off as integers, before any rounding."""
    missing = np.isnat(values)
    times = np.where(missing, np.zeros(1, values.dtype), values)
    whole = times.astype("M8[D]")
    rest = (times - whole.astype(values.dtype)).astype(np.int64)
    day = np.ones(1, "M8[D]").astype(values.dtype).astype(np.int64)  # in the column's unit
    out = whole.astype(np.int64) + rest / np.maximum(day, 1)
    return np.where(missing, np.nan, out)


def _local(times: Times, zone: str, column: str, label: str) -> Times:
    """Return what clocks show in a zone; one look at its rules for each quarter of an hour that occurs."""
    try:
        rules = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise DataError(f"{label}: column {column!r} has time zone {zone!r}, which this system does not know") from None
    quarters, where = np.unique(times.astype("M8[s]").astype(np.int64) // 900, return_inverse=True)
    offsets = np.array([_offset(int(quarter) * 900, rules) for quarter in quarters.tolist()], np.int64)
    return np.asarray(times.astype(f"M8[{_finer(times)}]") + offsets[where].astype("m8[s]"))


def _finer(times: Times) -> str:
    unit = np.datetime_data(times.dtype)[0]
    return "s" if unit in ("Y", "M", "W", "D", "h", "m") else unit


def _offset(seconds: int, rules: ZoneInfo) -> int:
    from datetime import UTC, datetime, timedelta

    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        away = moment.astimezone(rules).utcoffset()
    except OverflowError:  # beyond the years 1 to 9999
        return 0
    assert away is not None
    return int(away.total_seconds())
