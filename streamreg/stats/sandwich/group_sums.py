"""Sums of rows by key, for any number of keys: in memory up to a bound, then in temporary files."""

import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError
from streamreg.kernels.gram import cross_product

Float = NDArray[np.float64]
Keys = NDArray[np.int64]
Table = tuple[Keys, Float]
"""Keys, shape (g, c), and sums, shape (g, k)."""

_BUCKET_BITS = 6
_DEEPEST = 8  # 64**9 buckets, each of them one key
_SMALL = 2**20  # bytes of a file that is not worth cutting up
_LEAST = 2**24  # bytes that wait before they are sorted in

UNBOUNDED = 2**63 - 1
"""Bytes of a `Store` that needs no files."""


def reduced(keys: Keys, rows: Float) -> Table:
    """Return each key once, in order, and the sum of its rows.

    Parameters
    ----------
    keys : int64 ndarray of shape (m, c), m > 0
    rows : ndarray of shape (m, k)
    """
    from scipy.sparse import csr_array

    order = np.argsort(keys[:, 0], kind="stable") if keys.shape[1] == 1 else np.lexsort(keys.T[::-1])
    keys = keys[order]
    first = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)]))
    # A product with a matrix of ones and zeros adds rows where they lie, six times as fast as np.add.reduceat.
    chooser = csr_array((np.ones(len(keys)), order, np.append(first, len(keys))), shape=(len(first), len(keys)))
    return keys[first], np.asarray(chooser @ rows)


class Store:
    """A place for temporary files, removed when the ``with`` block ends.

    Parameters
    ----------
    memory : int
        Bytes that one table of sums may take up before it is written to a file.
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self._lock = Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._count = 0

    def __reduce__(self) -> tuple[type[Self], tuple[int]]:
        """Travel without a bound: another process holds the sums of one partition, and shares no files."""
        return type(self), (UNBOUNDED,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def path(self) -> Path:
        """Return the name of a file that does not exist yet."""
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="streamreg-")
            self._count += 1
            return Path(self._folder.name) / str(self._count)


class Spilled:
    """Tables in temporary files, all that belongs to a key in one file.

    Parameters
    ----------
    store : Store
    columns : int
        Columns c of a key.
    depth : int
        How often the keys were shared out before.
    """

    def __init__(self, store: Store, columns: int, depth: int = 0) -> None:
        self.store, self.columns, self.depth = store, columns, depth
        self.width = 0
        self._paths: list[Path] = []

    def write(self, keys: Keys, rows: Float) -> None:
        """Add a table."""
        bucket = _hash(keys) >> np.uint64(64 - _BUCKET_BITS * (self.depth + 1)) & np.uint64(2**_BUCKET_BITS - 1)
        table = np.concatenate([keys, np.ascontiguousarray(rows).view(np.int64)], axis=1)
        order = np.argsort(bucket, kind="stable")
        borders = np.searchsorted(bucket[order], np.arange(2**_BUCKET_BITS + 1))
        self.width = table.shape[1]
        self._paths = self._paths or [self.store.path() for _ in range(2**_BUCKET_BITS)]
        for path, a, b in zip(self._paths, borders[:-1], borders[1:], strict=True):
            if a < b:
                with path.open("ab") as file:
                    table[order[a:b]].tofile(file)

    def tables(self) -> Iterator[Table]:
        """Yield tables that have no key in common. The files are gone afterwards."""
        for path in filter(Path.exists, self._paths):
            size, most = path.stat().st_size, max(self.store.memory, _SMALL)
            if size <= most or self.depth == _DEEPEST:
                table = next(self._read(path, size))
                path.unlink()
                yield table
            else:
                finer = Spilled(self.store, self.columns, self.depth + 1)
                for table in self._read(path, most):
                    finer.write(*table)
                path.unlink()
                yield from finer.tables()
        self._paths = []

    def _read(self, path: Path, size: int) -> Iterator[Table]:
        """Yield the rows of a file, about `size` bytes at a time, each key once."""
        rows = max(size // (8 * self.width), 1)
        with path.open("rb") as file:
            while len(table := np.fromfile(file, np.int64, rows * self.width)):
                table = table.reshape(-1, self.width)
                yield reduced(table[:, : self.columns], np.ascontiguousarray(table[:, self.columns :]).view(np.float64))

    def __bool__(self) -> bool:
        return bool(self._paths)


class KeyedSums:
    """The sum of the rows of each key.

    Parameters
    ----------
    store : Store
        Where sums go that do not fit in memory.
    columns : int
        Columns c of a key.

    Notes
    -----
    Memory: about three times `Store.memory`. Disk: ``8 (c + k)`` bytes for each key and each time that memory filled.
    """

    def __init__(self, store: Store, columns: int) -> None:
        # Files of its own: what several states wrote to shared ones would lie there in the order of their threads.
        self._spilled = Spilled(store, columns)
        self._tables: list[Table] = []
        self._waiting = self._settled = 0

    def fresh(self) -> Self:
        """Return no sums, with the same place for files."""
        return type(self)(self._spilled.store, self._spilled.columns)

    def add(self, keys: Keys, rows: Float) -> None:
        """Add rows, shape (m, k), to their keys, shape (m, c)."""
        self._push(reduced(keys, rows))

    def merge(self, other: Self) -> None:
        """Add the sums of another state, whose files are gone afterwards."""
        if other._spilled and not (self._spilled or self._tables):
            self._spilled = other._spilled
        for table in chain(other._spilled.tables() if other._spilled is not self._spilled else (), other._tables):
            self._push(table)

    def _push(self, table: Table) -> None:
        self._tables.append(table)
        self._waiting += sum(array.nbytes for array in table)
        if self._waiting > max(self._settled, min(_LEAST, self._spilled.store.memory)):
            self._settle()

    def _settle(self) -> None:
        if len(self._tables) > 1:
            keys, rows = (np.concatenate([table[k] for table in self._tables]) for k in (0, 1))
            self._tables = [reduced(keys, rows)]
        self._waiting, self._settled = 0, sum(array.nbytes for array in self._tables[0])
        if self._settled > self._spilled.store.memory:
            self._spilled.write(*self._tables.pop())
            self._settled = 0

    def table(self, width: int) -> Table:
        """Return each key once, and the sum of its rows, shape (g, width).

        Raises
        ------
        UsageError
            Sums went to temporary files.
        """
        if self._spilled:
            raise UsageError(
                "the sums of these clusters went to temporary files and are not kept; give the pass more memory"
            )
        if not self._tables:
            return np.zeros((0, self._spilled.columns), dtype=np.int64), np.zeros((0, width))
        keys, rows = (np.concatenate([table[k] for table in self._tables]) for k in (0, 1))
        return reduced(keys, rows)

    def gram(self) -> tuple[Float, int]:
        """Return ``sum s s'`` over the sums s of all keys, shape (k, k), and how many keys there are. Once only."""
        if self._tables:
            self._settle()
        if self._spilled and self._tables:
            self._spilled.write(*self._tables.pop())
        total, count = None, 0
        for keys, sums in self._spilled.tables() if self._spilled else self._tables:
            product = cross_product(sums)
            total = product if total is None else total + product
            count += len(keys)
        assert total is not None
        return total, count


def _hash(keys: Keys) -> NDArray[np.uint64]:
    """Return 64 mixed bits for each key: the finaliser of SplitMix64, once for each column."""
    z = np.zeros(len(keys), dtype=np.uint64)
    for column in np.ascontiguousarray(keys.T).view(np.uint64):
        z = z * np.uint64(0x9E3779B97F4A7C15) + column
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z
