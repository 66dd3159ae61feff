"""Where records end in a text: ranges of some megabytes, with the number of their first rows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreg.engines.threads import available_threads
from streamreg.errors import ChangedError, CorruptError, DataError
from streamreg.kernels import csvscan
from streamreg.sources.csv.dialect import Dialect
from streamreg.sources.csv.streams import Read, compression_of, reading
from streamreg.sources.stored.buffers import read_exactly
from streamreg.sources.stored.files import unbuffered

_LF, _CR = 10, 13

_STEP = 2**18
"""Bytes that are looked at while they are in a cache."""

_Found: TypeAlias = tuple[bool, csvscan.Side, csvscan.Side]

SNIPPETS = 16
"""Places of a text whose rows tell the types of the columns, about."""


@dataclass(slots=True)
class Borders:
    """Ranges of whole records.

    Attributes
    ----------
    offsets : list of int
        The first byte of each range, and the end of the text.
    rows : list of int
        Records before each of them.
    regular : bool
        Whether `csvscan.scan` finds the records.
    snippets : list of (int, bytes)
        Rows at some places, as far as they were looked at: number of the first one, and whole records.
    """

    offsets: list[int]
    rows: list[int] = field(default_factory=lambda: [0])
    regular: bool = True
    snippets: list[tuple[int, bytes]] = field(default_factory=list)

    def close(self, size: int, rows: int) -> "Borders":
        """End the text, which has so many records."""
        if self.offsets[-1] == size and len(self.offsets) > 1:
            self.offsets.pop()
            self.rows.pop()
        self.offsets.append(size)
        self.rows.append(rows)
        return self


def find(path: str, seen: str, start: int, dialect: Dialect, piece: int, sample: int) -> Borders:
    """Return the ranges, of about `piece` bytes each, of the records from byte `start` on.

    One look at every byte: in several threads, unless the file is compressed or its quoting is unusual.

    Parameters
    ----------
    sample : int
        Bytes of a snippet.

    Raises
    ------
    DataError
        A field goes on after its closing quote, or a carriage return stands alone.
    CorruptError
        The text ends inside quotes.
    """
    kind = compression_of(path)
    with reading(path, seen) as read:
        pieces = _in_order(read, start, piece) if kind else _apart(path, seen, start, piece, dialect)
        found = _by_parity(path, pieces, start, dialect, sample)
    if found is None:
        with reading(path, seen) as read:
            found = _by_bytes(path, _in_order(read, start, piece), start, dialect, sample)
    ranges = [k for k in range(len(found.offsets) - 1) if found.rows[k] < found.rows[k + 1]]
    if kind:
        ranges = [] if found.snippets else ranges[:1]
    with reading(path, seen) as read:  # a file that can be read anywhere: rows from places far apart
        for k in ranges[:: max(1, -(-len(ranges) // SNIPPETS))]:
            begin, end = found.offsets[k : k + 2]
            head = read(begin, min(begin + sample, end)).tobytes()
            whole = head if begin + sample >= end else _whole(head, dialect) or read(begin, end).tobytes()
            found.snippets.append((found.rows[k], whole))
    return found


@dataclass(slots=True)
class _Look:
    """What a look at one piece found: `data` is there where the pieces come in order."""

    at: int
    lead: int
    size: int
    last: int
    found: _Found | None = None
    data: Any = None


def _in_order(read: Read, start: int, piece: int) -> Iterator[_Look]:
    """Yield the pieces of a text, each with the two bytes before it."""
    at, lead = start, np.empty(0, np.uint8)
    while len(here := read(at, at + piece)):
        data = np.concatenate((lead, here))
        yield _Look(at, len(lead), len(here), int(here[-1]), data=data)
        lead, at = data[-2:].copy(), at + len(here)


def _apart(path: str, seen: str, start: int, piece: int, dialect: Dialect) -> Iterator[_Look]:
    """Yield what is found in pieces of a file, in order, which threads look at."""
    size = Path(path).stat().st_size

    def look(at: int) -> _Look:
        first, end = min(2, at - start), min(at + piece, size)
        buffer, parts = np.empty(min(_STEP, piece) + 2, np.uint8), []
        with unbuffered(path, seen) as file:
            for here in range(at, end, _STEP):
                lead = min(2, here - start)
                data = buffer[: min(here + _STEP, end) - here + lead]
                try:
                    read_exactly(file, here - lead, data)
                except ValueError as error:
                    raise ChangedError(f"{path}: was cut while it was opened ({error}); open it anew") from error
                parts.append((here - lead - at + first, csvscan.scan(data, lead, *dialect.bytes)))
        return _Look(at, first, end - at, int(data[-1]), _joined(parts))

    places = range(start, size, piece)
    if len(places) <= 1:
        yield from map(look, places)
        return
    with ThreadPoolExecutor(available_threads()) as pool:
        yield from pool.map(look, places)


def _joined(parts: list[tuple[int, _Found]]) -> _Found:
    """Return what was found in consecutive parts as what was found in the whole; each with its place there."""
    sides = []
    for begins in (False, True):
        inside, records, at, irregular = begins, 0, -1, False
        for place, (odd, *found) in parts:
            side = found[inside]
            if at < 0 <= side.at:
                at = place + side.at
            records, irregular, inside = records + side.records, irregular or side.irregular, inside ^ odd
        sides.append(csvscan.Side(records, at, irregular))
    return inside is False, sides[0], sides[1]


def _by_parity(path: str, looks: Iterator[_Look], start: int, dialect: Dialect, sample: int) -> Borders | None:
    """Join what was found in pieces; None where `csvscan.scan` is not enough."""
    out, inside, rows, end, last = Borders([start]), False, 0, start, _LF
    samples = _Samples(dialect, sample)
    for look in looks:
        odd, *sides = look.found or csvscan.scan(look.data, look.lead, *dialect.bytes)
        side = sides[inside]
        if side.irregular:
            return None
        border = look.lead if look.at == start else side.at
        if border >= 0 and look.at > start:
            out.offsets.append(look.at - look.lead + border)
            out.rows.append(rows + 1)
        if border >= 0 and look.data is not None:
            samples.add(out.rows[-1], look.data[border:])
        rows += side.records
        inside, end, last = inside ^ odd, look.at + look.size, look.last
    if inside:
        raise _unclosed(path, rows)
    if last == _CR:
        return None
    out.snippets = samples.found
    return out.close(end, rows + (last != _LF))


def _by_bytes(path: str, looks: Iterator[_Look], start: int, dialect: Dialect, sample: int) -> Borders:
    """Do what `_by_parity` does, byte by byte."""
    out, state, rows, end = Borders([start], regular=False), csvscan.RECORD, 0, start
    samples = _Samples(dialect, sample)
    for look in looks:
        data = look.data[look.lead :]
        found, at = 1, 0
        if look.at > start:
            found, at, state = csvscan.walk(data, state, *dialect.bytes, 1)
            rows += found
            if found:
                out.offsets.append(look.at + at)
                out.rows.append(rows)
        if found:
            samples.add(rows, data[at:])
        if state < csvscan.WRONG_QUOTE:
            found, _, state = csvscan.walk(data[at:], state, *dialect.bytes)
            rows += found
        if state >= csvscan.WRONG_QUOTE:
            raise _malformed(path, rows, state)
        end = look.at + look.size
    if state == csvscan.QUOTED:
        raise _unclosed(path, rows)
    if state in (csvscan.RETURN, csvscan.BLANK):
        raise _malformed(path, rows, csvscan.WRONG_RETURN)
    out.snippets = samples.found if compression_of(path) else []
    return out.close(end, rows + (state != csvscan.RECORD))


class _Samples:
    """Rows from a stream whose length is not known: ever fewer places, ever farther apart."""

    def __init__(self, dialect: Dialect, size: int) -> None:
        self.found: list[tuple[int, bytes]] = []
        self._dialect, self._size, self._stride, self._count = dialect, size, 1, 0

    def add(self, row: int, data: NDArray[np.uint8]) -> None:
        """Keep the first records of a range, perhaps."""
        self._count += 1
        if self._count % self._stride:
            return
        whole = _whole(data[: self._size].tobytes(), self._dialect) or _whole(data.tobytes(), self._dialect)
        if whole:
            self.found.append((row, whole))
            if len(self.found) > 2 * SNIPPETS:
                self.found, self._stride = self.found[::2], 2 * self._stride


def _whole(data: bytes, dialect: Dialect) -> bytes:
    """Return the records that end in some bytes that begin with one."""
    records, *_ = csvscan.walk(data, csvscan.RECORD, *dialect.bytes)
    if not records:
        return b""
    return data[: csvscan.walk(data, csvscan.RECORD, *dialect.bytes, records)[1]]


def _unclosed(path: str, row: int) -> CorruptError:
    return CorruptError(
        f"{path}, row {row:,} (from 0): a quote is not closed before the file ends; the file is cut short, or a "
        "field begins with a quote that is a plain character (pass quote=None in options where all are)"
    )


def _malformed(path: str, row: int, state: int) -> DataError:
    if state == csvscan.WRONG_RETURN:
        return DataError(
            f"{path}, row {row:,} (from 0): has a carriage return that no newline follows; end lines with newlines, as "
            "with tr '\\r' '\\n'"
        )
    return DataError(
        f"{path}, row {row:,} (from 0): a field goes on after its closing quote; double the quotes inside of "
        "fields, or pass quote=None in options where all quotes are plain characters"
    )
