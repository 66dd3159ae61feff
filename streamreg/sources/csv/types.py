"""Types of columns: learned from rows of all parts of the files, or given."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from streamreg.errors import NotFound, UsageError, nearest
from streamreg.sources.csv.dialect import Dialect

GIVEN: dict[str, Any] = {
    "float64": pa.float64(),
    "float32": pa.float32(),
    "int64": pa.int64(),
    "uint64": pa.uint64(),
    "bool": pa.bool_(),
    "text": pa.dictionary(pa.int32(), pa.string()),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "datetime UTC": pa.timestamp("us", "UTC"),
}
"""Types that a caller may name."""

_ALIASES = {
    float: "float64",
    int: "int64",
    str: "text",
    bool: "bool",
    "str": "text",
    "float": "float64",
    "int": "int64",
}

_DATE = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"[ T]\d{2}(?::\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?"
_ZONE = r"(?:Z|[+-]\d{2}(?::?\d{2})?)"


@cache
def patterns(decimal: str) -> re.Pattern[str]:
    """Return what cells look like, as groups of one pattern."""
    mark = re.escape(decimal)
    kinds = {
        "zeros": r"-?0\d+",
        "whole": r"-?\d+",
        "number": rf"-?(?:(?:\d+{mark}?\d*|{mark}\d+)(?:[eE][-+]?\d+)?|(?i:inf|infinity|nan))",
        "bool": "true|false|True|False|TRUE|FALSE",
        "date": _DATE,
        "time": _DATE + _CLOCK,
        "zoned": _DATE + _CLOCK + _ZONE,
        "nano": _DATE + r"[ T]\d{2}:\d{2}:\d{2}\.\d{7,9}",
        "nano_zoned": _DATE + r"[ T]\d{2}:\d{2}:\d{2}\.\d{7,9}" + _ZONE,
        "likely": r"[-+]?[^\w\s]?\s?\d[\d.,' ]*(?:[eE][-+]?\d+)?\s*%?",
    }
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in kinds.items()))


_NUMBERS = ("zeros", "whole", "number")
_TIMES = ("time", "zoned", "nano", "nano_zoned")


@dataclass(slots=True)
class Seen:
    """What some cells of one column look like: how many are of each kind, and the first of each."""

    kinds: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    absent: int = 0
    low: int = 0
    high: int = 0
    times: list[str] = field(default_factory=list)

    def add(self, cell: str, dialect: Dialect) -> None:
        """Look at a cell."""
        if cell in dialect.missing:
            self.absent += 1
            return
        cell = cell.strip(" \t")
        found = patterns(dialect.decimal).fullmatch(cell)
        kind = (found and found.lastgroup) or "text"
        self.kinds[kind] += 1
        self.first.setdefault(kind, cell)
        if kind == "whole" and len(cell) > 18:
            self.low, self.high = min(self.low, int(cell)), max(self.high, int(cell))
        elif kind == "date" or kind in _TIMES:
            self.times.append(cell)

    def decide(self) -> tuple[Any, str]:
        """Return the Arrow type, or None and why there is none."""
        cells, kinds = self.kinds.total(), set(self.kinds)
        numbers, dates = (sum(self.kinds[k] for k in some) for some in (_NUMBERS, ("date", *_TIMES)))
        if numbers == cells:
            return self._number(kinds)
        if kinds == {"bool"}:
            return pa.bool_(), ""
        if dates == cells:
            return self._time(kinds)
        if 2 * dates > cells:
            return None, f"holds dates, and others such as {self._other(('date', *_TIMES))}"
        if 2 * (numbers + self.kinds["likely"]) > cells:
            what = "holds numbers, and others" if numbers else "holds what is not read as numbers,"
            return None, f"{what} such as {self._other(_NUMBERS)}"
        return GIVEN["text"], ""

    def _other(self, usual: Sequence[str]) -> str:
        """Return a cell that is unlike most, and what to do about it."""
        cell = next(cell for kind, cell in self.first.items() if kind not in usual)
        mark = ", decimal=',' where a comma is the decimal mark" if re.fullmatch(r"-?\d*,\d+", cell) else ""
        return (
            f"{cell!r}; in options, pass na_values where it is a missing value{mark}, or give the column the type "
            "'text' in dtypes"
        )

    def _number(self, kinds: set[str]) -> tuple[Any, str]:
        if "number" in kinds or not kinds:
            return pa.float64(), ""
        if "zeros" in kinds:
            return GIVEN["text"], ""
        if self.low > -(2**63) and self.high < 2**63:
            return pa.int64(), ""
        if self.low >= 0 and self.high < 2**64 and not self.absent:
            return pa.uint64(), ""
        large = self.high if self.high >= 2**63 else self.low
        return None, (
            f"holds whole numbers that int64 does not, such as {large}; give the column a type in dtypes: "
            "'float64', which rounds them, or 'text'"
        )

    def _time(self, kinds: set[str]) -> tuple[Any, str]:
        zoned = kinds & {"zoned", "nano_zoned"}
        if zoned and kinds - zoned:
            return (
                None,
                "holds times with a zone and times without one; convert it, or give it the type 'text' in dtypes",
            )
        unit = "ns" if kinds & {"nano", "nano_zoned"} else "us"
        kind = pa.date32() if kinds == {"date"} else pa.timestamp(unit, "UTC" if zoned else None)
        try:
            pa.array(self.times).cast(kind)
        except pa.ArrowInvalid as error:
            return None, f"holds a date that is none ({error}); pass it in na_values, or the type 'text' in dtypes"
        return kind, ""


def learn(snippets: Sequence[tuple[int, bytes]], dialect: Dialect, columns: Sequence[Seen | None]) -> None:
    """Look at whole records; `columns` are those of the file in order, None for one that is of no interest."""
    for _, data in snippets:
        for row in dialect.records(data.decode(dialect.encoding, "replace")):
            if len(row) == len(columns):
                for cell, seen in zip(row, columns, strict=True):
                    if seen is not None:
                        seen.add(cell, dialect)


def given(dtypes: Mapping[str, Any] | None, names: Sequence[str], label: str) -> dict[str, Any]:
    """Return types by column as Arrow's.

    Raises
    ------
    NotFound
        There is no such column.
    UsageError
        There is no such type.
    """
    if dtypes is not None and not isinstance(dtypes, Mapping):
        raise UsageError(f"dtypes={dtypes!r}; it must say types by column, as in dtypes={{'id': 'text'}}")
    found = {}
    for name, kind in (dtypes or {}).items():
        if name not in names:
            raise NotFound(f"{label}: dtypes: no column {name!r}{nearest(str(name), names)}")
        word = _ALIASES.get(kind, kind) if isinstance(kind, str | type) else str(kind)
        if word not in GIVEN:
            raise UsageError(f"{label}: dtypes: the type of {name!r} is {kind!r}; it can be {', '.join(GIVEN)}")
        found[name] = GIVEN[str(word)]
    return found
