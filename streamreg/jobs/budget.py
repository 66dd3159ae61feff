"""How a job spends memory, and how it keeps to a bound: with fewer threads, and smaller tables of groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from streamreg.errors import UsageError
from streamreg.models.needs import Needs
from streamreg.stats.base import block_rows
from streamreg.tools.inspect import size

# Measured: Python with NumPy, SciPy and h5py; what Zarr adds; what pyarrow adds; what TensorFlow adds.
_BASE, _ZARR, _ARROW, _TENSORFLOW = 80 * 2**20, 25 * 2**20, 60 * 2**20, 540 * 2**20
ARROW = (".parquet", ".arrow", ".feather")
_ADDED = {".zarr": _ZARR, **dict.fromkeys(ARROW, _ARROW)}

_EXACT = 300  # bytes of an exact sum, with the ones that it is gathered in
_PARTITION = 2**25  # bytes of rows that are folded apart
_DESCRIBED = 12  # bytes in memory for each byte of a Parquet footer: 230 MB for 19 MB of 20,000 row groups
_LEAST = 2**22  # bytes that make a table of groups worth its work
_CLUSTERS = 6.0  # times a table of clusters: two are joined, sorted and added up
_MIXED = 8  # times as long as others are blocks whose rows belong to many groups
_WAITING = 3.5  # states of partitions for each thread: one is made, two wait for their turn


@dataclass(frozen=True, slots=True)
class Table:
    """What it is that a job reads.

    Attributes
    ----------
    rows, columns : int
    piece : int
        Bytes of rows that a worker holds at once.
    suffix : str
        Of the file.
    footer : int
        Bytes of memory that describe the row groups of a Parquet file.
    """

    rows: int
    columns: int
    piece: int
    suffix: str
    footer: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """What a job takes up at most, about, in bytes.

    Attributes
    ----------
    libraries : int
        Python, and the libraries that read.
    reading : int
        Rows that are read, decoded, and made ready by the workers.
    sums : int
        Sums over the rows so far, and those of partitions that are worked on or wait for their turn.
    groups : int
        Sums of levels and clusters, of which nobody knows beforehand how many there are.
    training : int
        The library that trains, and rows that it keeps.
    """

    libraries: int
    reading: int
    sums: int
    groups: int
    training: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, f.name) for f in fields(self))

    def __str__(self) -> str:
        return ", ".join(f"{f.name} {size(value)}" for f in fields(self) if (value := getattr(self, f.name)))


@dataclass(frozen=True, slots=True)
class Budget:
    """How a job keeps to a bound.

    Attributes
    ----------
    use : Use
    threads : int
    groups : int or None
        Bytes that each table of levels or clusters may take up; None: what is usual.
    """

    use: Use
    threads: int
    groups: int | None = None


def budget(needs: Sequence[Needs], table: Table, threads: int, memory: int | None) -> Budget:
    """Return how many threads may work on the rows, and how large tables of groups may be.

    Parameters
    ----------
    needs : sequence of Needs
        Of the fits of the job.
    table : Table
    threads : int
        At most.
    memory : int or None
        Bytes that the whole process may take up; None: no bound.

    Raises
    ------
    UsageError
        One thread alone takes up more; the message says what would fit.
    """
    if memory is None:
        return Budget(_use(needs, table, threads, sum(need.memory for need in needs if _apart(need))), threads)
    fitting = [_within(needs, table, count, memory) for count in range(threads, 0, -1)]
    able = [one for one in fitting if one is not None]
    asked = max((need.memory for need in needs if _apart(need)), default=0)
    # Groups wait with each partition: if they lack room, fewer threads give them more.
    for granted in able:
        if granted.groups is None or granted.groups >= asked:
            return granted
    if able:
        return able[-1]
    use = _use(needs, table, 1, int(_LEAST * sum(_times(need, 1.0) for need in needs)))
    raise UsageError(
        f"{size(memory)} do not hold the job even with one thread, which takes about {size(use.total)} ({use}); "
        f"give it as much, or {_advice(needs)}"
    )


def _within(needs: Sequence[Needs], table: Table, threads: int, memory: int) -> Budget | None:
    """Return how so many threads keep to a bound, if they do."""
    times = sum(_times(need, _waiting(threads)) for need in needs)
    left = memory - _use(needs, table, threads, 0).total
    if left < times * _LEAST:
        return None
    if not times:
        return Budget(_use(needs, table, threads, 0), threads)
    return Budget(_use(needs, table, threads, left), threads, int(left / times))


def _apart(need: Needs) -> bool:
    return bool(need.keys) or need.group is not None


def _times(need: Needs, waiting: float) -> float:
    """Return how many tables of groups there are at once, at most."""
    return _CLUSTERS if need.keys else 1.5 + waiting if need.group is not None else 0.0


def _waiting(threads: int) -> float:
    """Return how many states of partitions there are at once."""
    return 1.0 if threads == 1 else _WAITING * threads


def _advice(needs: Sequence[Needs]) -> str:
    if any(need.trains for need in needs):
        return "set memory_mb of the training to less, or leave the training to a job of its own"
    return f"choose fewer features{' or folds' * any(need.folds > 1 for need in needs)}"


def _use(needs: Sequence[Needs], table: Table, threads: int, groups: int) -> Use:
    q = table.columns
    waiting = _waiting(threads)
    mixed = max(_MIXED if need.group is not None else min(need.folds, _MIXED) for need in needs)
    block = 8 * q * min(block_rows(q) * mixed, table.rows)
    levels = math.log2(max(2, table.rows / block_rows(q) / mixed))
    state = 8 * q**2 * max(need.folds for need in needs)
    sums = state * (levels / 2 + 3 + waiting)
    if any(need.exact for need in needs):
        sums = max(sums, _EXACT * q**2 * max(need.folds for need in needs) * (2 + waiting))
    reading = int(threads * (3 * table.piece + 2 * block) + waiting * block / 2)
    if any(need.keys for need in needs):  # in a partition, each row may be a cluster
        reading += int(2 * waiting * _PARTITION)
    training = max((_TENSORFLOW + need.memory for need in needs if need.trains), default=0)
    return Use(_BASE + _ADDED.get(table.suffix, 0) + table.footer, reading, int(sums), groups, training)


def footer(path: Path) -> int:
    """Return about how many bytes of memory it takes to know the row groups of a Parquet file, which are read first."""
    if path.suffix != ".parquet" or not path.is_file():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        last = file.read(8)
    length = int.from_bytes(last[:4], "little") if last[4:] == b"PAR1" else 0
    return _DESCRIBED * min(length, path.stat().st_size)


def require_footer(path: Path, memory: int | None) -> None:
    """Refuse a Parquet file of so many row groups that knowing them takes more memory than there is.

    Raises
    ------
    UsageError
        It is one.
    """
    needed = footer(path)
    if memory is not None and needed > memory:
        raise UsageError(
            f"{size(memory)} do not hold what describes the row groups of {path}, about {size(needed)}; give it as "
            "much, or write the file with fewer and longer row groups"
        )


_UNITS = {"": 1, **{f"{p}B": 1000**k for k, p in enumerate(("k", "M", "G", "T"), 1)}}
_UNITS |= {f"{p}iB": 1024**k for k, p in enumerate(("K", "M", "G", "T"), 1)}


def as_bytes(value: Any) -> int:
    """Read a size: bytes, or a text such as ``2GiB``, ``300 MB``.

    Raises
    ------
    ValueError
        It is none.
    """
    text = str(value).strip().replace("_", "")
    number = text.rstrip("kKMGTiB ")
    unit = text[len(number) :].strip()
    try:
        found = int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        found = 0
    if found <= 0 or isinstance(value, bool):
        raise ValueError(f"{value!r} is no size of memory; write 2GiB, 300MB, or bytes")
    return found
