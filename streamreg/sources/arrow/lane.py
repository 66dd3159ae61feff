"""Rows that can only be read from the first on, shared among workers: one reader, and each takes its rows from it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from streamreg.errors import ChangedError, CorruptError, StreamregError
from streamreg.sources.ranges import Known, Range

AHEAD = 4
"""How many times the rows asked for are kept for a worker that comes late."""


class Stream(ABC):
    """Consecutive rows of a storage, which are read from the first on; small and picklable.

    Attributes
    ----------
    label : str
        How error messages call the storage.
    rows : int
    constants : dict of str to value
        Columns that hold one value: text, an integer, or None.
    """

    label: str
    rows: int
    constants: dict[str, Any]

    @abstractmethod
    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[Any]:
        """Yield the rows from `start`, an entry, on as record batches of Arrow, about `rows` at a time.

        They have these columns at least.
        """

    def at_once(self, rows: int) -> int:
        """Return how many rows are decoded together where `rows` are asked for."""
        return rows

    def entry(self, row: int) -> int:
        """Return the last row up to this one from which on the storage can be read."""
        return 0

    def ranges(self, columns: Sequence[str]) -> Iterator[Known]:
        """Yield what is known of columns in runs of these rows, counted from 0, without reading any."""
        yield 0, self.rows, self.constant_ranges(columns)

    def constant_ranges(self, columns: Sequence[str]) -> dict[str, Range]:
        """Return the ranges of those columns that hold one value."""
        return {name: Range.of(self.constants[name]) for name in columns if name in self.constants}

    def pieces(self, least: int) -> "Sequence[Stream]":
        """Return the stream as others of so many rows at least, where each can be read without those before it."""
        return [self]

    def part(self, start: int, stop: int) -> "Stream | None":
        """Return a range of rows as a stream of its own, where that costs nothing."""
        return None


class Lane:
    """The one reader of a stream.

    Workers ask for ranges of rows, and most often for one after the other: then each row is decoded once, and no more
    rows are held than were asked for. Where an earlier range is asked for later, the stream is read again.

    Parameters
    ----------
    stream : Stream
    columns : sequence of str
    rows : int
        How many to decode at a time.
    """

    def __init__(self, stream: Stream, columns: Sequence[str], rows: int) -> None:
        self.stream, self._rows = stream, rows
        self._columns = tuple(name for name in columns if name not in stream.constants)
        self._lock = Lock()
        self._restart()

    def __reduce__(self) -> tuple[Any, ...]:
        return Lane, (self.stream, self._columns, self._rows)

    def _restart(self, at: int = 0) -> None:
        self._batches: Iterator[Any] | None = None
        self._at = at
        self._held: list[tuple[int, Any]] = []

    def span(self, start: int, stop: int) -> "tuple[Lane, int, int]":
        """Return what reads a range of rows, and where they are in it."""
        part = self.stream.part(start, stop)
        return (self, start, stop) if part is None else (Lane(part, self._columns, self._rows), 0, stop - start)

    def take(self, start: int, stop: int) -> list[Any]:
        """Return rows `start` to `stop` as record batches.

        Raises
        ------
        CorruptError
            They cannot be read, or there are fewer than were promised.
        """
        with self._lock:
            with suppress(Exception):  # what is damaged may lie before these rows, or after them
                return self._take(start, stop)
            try:
                return self._alone(start, stop)
            except StreamregError:
                raise
            except Exception as error:  # of the library, whatever a damaged file makes it raise
                raise CorruptError(
                    f"{self.stream.label}: rows from {self._at:,} on (counted from 0) cannot be read "
                    f"({type(error).__name__}: {_first_line(error)}); they are damaged or cut short, write them again"
                ) from error
            finally:
                self._restart(self.stream.rows)  # whoever comes next begins at an entry of his own

    def _alone(self, start: int, stop: int) -> list[Any]:
        """Return rows that are read from their entry on and end a batch: whether they can be read depends on no others.

        So it is the same ones that cannot, whichever worker asked first.
        """
        rows, entry = self._rows, self.stream.entry(start)
        batches = -(-(stop - entry) // rows)
        even = next((k for k in range(batches, 4 * batches) if not (stop - entry) % k), 1)
        self._restart(entry)
        try:
            self._rows = (stop - entry) // even
            return self._take(start, stop)
        finally:
            self._rows = rows

    def _take(self, start: int, stop: int) -> list[Any]:
        behind = sum(len(_cut(held, start, stop)) for held in self._held) < min(stop, self._at) - start
        if behind or self.stream.entry(start) > self._at + AHEAD * self._rows:
            self._restart(self.stream.entry(start))
        while self._at < stop:
            if self._batches is None:
                self._batches = self.stream.batches(self._columns, self._rows, self._at)
            batch = next(self._batches, None)
            if batch is None:
                raise self._changed(self._at)
            self._held.append((self._at, batch))
            self._at += len(batch)
            if self._at > self.stream.rows:
                raise self._changed(self._at)
        if self._at == self.stream.rows and self._batches is not None:
            if any(len(batch) for batch in self._batches):
                raise self._changed(self._at + 1)
            self._batches = None
        found = [piece for held in self._held if len(piece := _cut(held, start, stop))]
        self._held = [(a, rest) for a, batch in self._held for a, rest in _without(a, batch, start, stop)]
        # The last rows read are kept, however long a batch is: most often they are asked for next.
        most = AHEAD * max(stop - start, self._rows)
        while len(self._held) > 1 and sum(len(batch) for _, batch in self._held) > most:
            del self._held[0]
        return found

    def _changed(self, found: int) -> ChangedError:
        what = f"only {found:,} rows" if found < self.stream.rows else "more rows"
        return ChangedError(
            f"{self.stream.label}: gave {what}, and {self.stream.rows:,} were promised; open it anew when the writer "
            "is done"
        )


def _cut(held: tuple[int, Any], start: int, stop: int) -> Any:
    """Return those rows of a batch, the first of which is row `held[0]`, that lie in a range."""
    at, batch = held
    a, b = (min(max(row - at, 0), len(batch)) for row in (start, stop))
    return batch.slice(a, b - a)


def _without(at: int, batch: Any, start: int, stop: int) -> list[tuple[int, Any]]:
    """Return the rows of a batch before and after a range, where there are some."""
    parts = [(at, _cut((at, batch), at, start)), (max(at, stop), _cut((at, batch), stop, at + len(batch)))]
    return [(a, part) for a, part in parts if len(part)]


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0][:200]
