"""Checksums of rows, beside a file: what its format cannot see, later scans can.

A seal has a sum for each column of each stretch of rows: of the 64-bit patterns of the values, times a weight that
depends on the row number, modulo 2**64. One changed value is found for certain, more of them but for one chance in
2**64 or so. The sums do not depend on chunks, compression, threads or which columns are read. They are made against
damage: who forges rows can forge a seal.
"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from streamreg.engines.base import Engine
from streamreg.errors import CorruptError, DataError, UsageError
from streamreg.persist import archive
from streamreg.scans.faults import patient
from streamreg.scans.sums import STRETCH, U64, Sums
from streamreg.scans.verified import Verified
from streamreg.sources.base import Partition, Source
from streamreg.sources.filters.source import FilteredSource
from streamreg.sources.marked import MarkedSource

SUFFIX = ".seal"
_KIND = "seal"


@dataclass(frozen=True, slots=True)
class Seal:
    """What a seal says.

    Attributes
    ----------
    path : Path
    table : str
        Which table of the file it is of.
    names : tuple of str
    rows : int
    sums : ndarray of shape (number of stretches, number of columns)
    """

    path: Path
    table: str
    names: tuple[str, ...]
    rows: int
    sums: U64

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a seal.

        Raises
        ------
        CorruptError
            It is damaged.
        """
        values, arrays = archive.load(path, _KIND)
        try:
            names, rows = tuple(values["names"]), int(values["rows"])
            sums = arrays["sums"]
            sound = sums.shape == (-(-rows // STRETCH), len(names)) and sums.dtype == np.uint64
            sound = sound and values["stretch"] == STRETCH
            seal = cls(Path(path), str(values["table"]), names, rows, sums)
        except Exception as error:  # whatever an edited file leads to
            raise CorruptError(f"{path}: damaged, or edited ({error!r}); seal the file again") from error
        if not sound:
            raise CorruptError(f"{path}: damaged, or edited: its sums are not of {rows:,} rows; seal the file again")
        return seal

    def check(self, label: str, found: Sums) -> int:
        """Compare the sums of a scan, and return of how many rows they are.

        Stretches that were not read as a whole are passed over.

        Raises
        ------
        CorruptError
            Some differ; the message says which rows and columns.
        """
        here = [k for k, name in enumerate(found.names) if name in self.names]
        there = [self.names.index(found.names[k]) for k in here]
        proven = 0
        for number, (rows, sums) in sorted(found.stretches.items()):
            first = number * STRETCH
            last = min(first + STRETCH, self.rows)
            if rows != last - first:
                continue
            wrong = np.flatnonzero(sums[here] != self.sums[number, there])
            if len(wrong):
                names = ", ".join(repr(found.names[here[k]]) for k in wrong[:3])
                names += f" and {len(wrong) - 3} more" * (len(wrong) > 3)
                raise CorruptError(
                    f"{label}: rows {first:,} to {last - 1:,} are not those of its seal (column {names}): they are "
                    f"damaged, or were written anew; get a sound copy, or seal the file again ({self.path})"
                )
            proven += rows if here else 0
        return proven


def path_of(source: Source) -> Path | None:
    """Return where the seal of a source is, if it is of one file or folder; None of one in memory."""
    label = Path(source.label)
    return label.with_name(label.name + SUFFIX) if source.schema.n_rows is not None and label.exists() else None


def beside(source: Source) -> Seal | None:
    """Return the seal of a source, if there is one.

    Raises
    ------
    CorruptError
        The seal is damaged, or is of more rows than there are.
    """
    path = path_of(source)
    if path is None or not path.is_file():
        return None
    seal = Seal.load(path)
    rows = seal.rows
    if seal.table != source.table:
        return None
    if rows > (n := source.schema.n_rows or 0):
        raise CorruptError(
            f"{source.label}: has {n:,} rows, and its seal is of {rows:,}: rows are lost, or it was written anew; get "
            f"a sound copy, or seal the file again ({path})"
        )
    return seal


def require_unsealed(source: Source, sealed: Seal | None) -> None:
    """Make sure that a scan of a source may write its seal.

    Raises
    ------
    UsageError
        There is one already, with which the scan compares the rows, or it is not one file or folder.
    """
    path = path_of(source)
    if path is None:
        raise UsageError(f"{source.label}: a seal lies beside a file, and this is none; leave out seal, or open a path")
    if source.where:
        raise UsageError(f"{source.label}: a seal is of all rows, and where={source.where!r} reads some; leave one out")
    if sealed is not None or path.is_file():
        raise UsageError(
            f"{path}: is there already, and every scan compares it; leave out seal. Where the file has grown, "
            f"streamreg seal {source.label} makes it anew"
        )


def write(source: Source, found: Sums) -> Path:
    """Write the seal of a source beside it, from sums over all of its rows.

    Raises
    ------
    UsageError
        It is not one file or folder.
    """
    path = path_of(source)
    if path is None:
        raise UsageError(f"{source.label}: a seal lies beside a file, and this is none; open a path")
    rows = sum(count for count, _ in found.stretches.values())
    sums = np.stack([found.stretches[k][1] for k in sorted(found.stretches)])
    values = {"table": source.table, "names": found.names, "rows": rows, "stretch": STRETCH}
    archive.write(path, _KIND, values, {"sums": sums})
    return path


def read(source: Source, engine: Engine, most: int | None = None) -> Sums:
    """Read all rows of all columns as they are stored, and return their sums; rows from `most` on are read alone.

    Raises
    ------
    ChangedError, CorruptError
        As for any scan.
    DataError
        The source has no rows.
    """
    while isinstance(source, FilteredSource | MarkedSource):
        source = source.inner
    total = Sums(most)
    parts = [patient(part, source.label) for part in source.partitions()]
    for part in engine.map(partial(_of_partition, most=most), parts):
        total.merge(part)
    if not total.stretches:
        raise DataError(f"{source.label}: no rows")
    return total


def _of_partition(partition: Partition, most: int | None) -> Sums:
    found = Sums(most)
    for chunk in partition.chunks(1024):
        found.add(chunk)
    return found


def verify(source: Source, engine: Engine) -> Verified:
    """Read all rows without fitting, and compare them with the seal, if there is one.

    Raises
    ------
    CorruptError
        Rows cannot be read, or are not those of the seal.
    """
    held = beside(source)
    found = read(source, engine, None if held is None else held.rows)
    proven = 0 if held is None else held.check(source.label, found)
    left = () if held is None else tuple(name for name in held.names if name not in found.names)
    return Verified(source.label, source.schema.n_rows or 0, proven, len(found.names), left)
