"""Parts of dates and times, in their time zones, as whole numbers; and dates as numbers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from streamreg.design.columns import lacking
from streamreg.errors import DataError, UsageError
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.gram import NAT

Integers = NDArray[np.int64]

_DAY = 86_400
_FIRST, _LAST = -719_162 * _DAY, 2_932_896 * _DAY  # years 1 to 9999, in seconds


def part(function: str, times: NDArray[Any], zone: str | None) -> Integers:
    """Return a part of each time, shape (m,); the least int64 where it is missing.

    Parameters
    ----------
    function : str
        One of `functions.DATES`.
    times : datetime64 ndarray of shape (m,)
        UTC if there is a zone, else as on the clock.
    zone : str or None
        Name of a time zone, as in "Europe/Berlin".
    """
    missing = np.isnat(times)
    times = np.where(missing, np.datetime64(0, "s"), times)
    if zone is not None and zone != "UTC":
        seconds = times.astype("M8[s]").astype(np.int64)
        times = (seconds + offsets(seconds, zone)).astype("M8[s]")
    out = _PARTS[function](times).astype(np.int64)
    out[missing] = NAT
    return out


def since_epoch(times: NDArray[Any]) -> dd.DD:
    """Return dates as days since 1970-01-01, divided in double-double; NaN is missing."""
    missing = np.isnat(times)
    unit = np.datetime_data(times.dtype)[0]
    counts = times.astype("M8[D]" if unit in "YMW" else f"M8[{unit}]").view(np.int64)
    counts = np.where(missing, 0, counts)
    high = counts.astype(np.float64)
    exact = max(counts.max(initial=0), -counts.min(initial=0)) <= 2**53
    low = np.zeros(len(high)) if exact else lacking(counts, high)
    if unit not in "YMWD":
        per = float(np.ones(1, "m8[D]").astype(f"m8[{unit}]").astype(np.int64)[0])
        high, low = dd.divide((high, low), (np.full(len(high), per), np.zeros(len(high))))
    high[missing], low[missing] = np.nan, 0.0
    return high, low


def offsets(seconds: Integers, zone: str) -> Integers:
    """Return what a zone's clock is ahead of UTC, in seconds, at seconds since 1970.

    Days are looked up once. On a day at whose ends the offset differs each second is looked up.
    """
    if len(seconds) and (seconds.min() < _FIRST + _DAY or seconds.max() >= _LAST - _DAY):
        raise DataError(f"a time outside of the years 1 to 9999 has no clock time in {zone}")
    days, where = np.unique(seconds // _DAY, return_inverse=True)
    ends = [(_offset(day * _DAY, zone), _offset((day + 1) * _DAY, zone)) for day in days.tolist()]
    table = np.array(ends, np.int64).reshape(-1, 2)
    out: Integers = table[where, 0]
    for row in np.flatnonzero((table[:, 0] != table[:, 1])[where]).tolist():
        out[row] = _offset(int(seconds[row]), zone)
    return out


@lru_cache(maxsize=2**18)
def _offset(second: int, zone: str) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    ahead = moment.astimezone(_zone(zone)).utcoffset()
    return 0 if ahead is None else round(ahead.total_seconds())


@lru_cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise UsageError(f"no time zone {name!r} on this machine; pip install tzdata brings all of them") from None


def _since(times: NDArray[Any], unit: str, start: str) -> Integers:
    begun = times.astype(f"M8[{start}]")
    return np.asarray((times.astype(f"M8[{unit}]") - begun.astype(f"M8[{unit}]")).astype(np.int64))


_PARTS: dict[str, Callable[[NDArray[Any]], Integers]] = {
    "year": lambda t: t.astype("M8[Y]").astype(np.int64) + 1970,
    "quarter": lambda t: _since(t, "M", "Y") // 3 + 1,
    "month": lambda t: _since(t, "M", "Y") + 1,
    "day": lambda t: _since(t, "D", "M") + 1,
    "weekday": lambda t: (t.astype("M8[D]").astype(np.int64) + 3) % 7,
    "dayofyear": lambda t: _since(t, "D", "Y") + 1,
    "hour": lambda t: _since(t, "h", "D"),
    "minute": lambda t: _since(t, "m", "h"),
    "second": lambda t: _since(t, "s", "m"),
}
