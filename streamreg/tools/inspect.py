"""What is in a file, without reading a row."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamreg import sources
from streamreg.errors import CorruptError, DataError, NotFound, UsageError
from streamreg.sources.filters.source import FilteredSource
from streamreg.sources.formats import kind_of
from streamreg.sources.stored.files import require

_SHOWN = 12  # columns, in text


@dataclass(frozen=True, slots=True)
class Dataset:
    """One array of a file: its path in it, and how it is stored. `stored` are the bytes on disk, `meaning` the
    attributes that change what its numbers mean.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    stored: int
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file holds, and the table that `streamreg.open` sees in it.

    Attributes
    ----------
    path : str
    stored : int
        Bytes on disk.
    datasets : tuple of Dataset
    columns : dict of str to str
        Name and type of each column; empty if it is not clear which matrix is meant.
    rows : int or None
    partitions : int or None
    nbytes : int or None
        What one pass delivers, decoded.
    note : str
        Why there is no table.
    where : str
        The condition that rows must meet, if there is one.
    unread : int
        Rows of which the storage tells, without reading them, that they do not meet it.
    """

    path: str
    stored: int
    datasets: tuple[Dataset, ...]
    columns: dict[str, str]
    rows: int | None
    partitions: int | None
    nbytes: int | None
    note: str = ""
    where: str = ""
    unread: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        from streamreg.reporting import tables

        rows = [
            (d.name, " x ".join(f"{n:,}" for n in d.shape), d.dtype, d.layout, size(d.stored)) for d in self.datasets
        ]
        header = ("dataset", "shape", "type", "layout", "on disk") if rows else ()
        names = list(self.columns)
        shown = ", ".join(names[:_SHOWN]) + (f", ... {names[-1]}" if len(names) > _SHOWN else "")
        notes = [f"{d.name or 'array'}: {d.meaning}" for d in self.datasets if d.meaning]
        notes += [self.note] if self.note else []
        if not self.note:
            notes += [
                f"{_many(self.rows, 'row')} x {_many(len(names), 'column')}: {shown}",
                f"One pass delivers {size(self.nbytes or 0)} in {_many(self.partitions, 'partition')}.",
            ]
        if self.where:
            notes.append(f"where {self.where}: {_many(self.unread, 'row')} cannot pass, as the storage tells unread.")
        return tables.render(f"{self.path}, {size(self.stored)}", [], header, rows, notes)


def inspect(
    path: Path,
    x: str | None = None,
    target: str | None = None,
    weights: str | None = None,
    missing_chunks: str = "error",
    **options: Any,
) -> Inspection:
    """Look at the datasets of a file and at the table that they make; the arguments are those of `streamreg.open`.

    Raises
    ------
    DataError
        No such file or dataset, or it is damaged. Where a sound one of several datasets holds no
        table, `note` says why.
    """
    require(path)
    note = ""
    try:
        source = sources.open(path, x=x, target=target, weights=weights, missing_chunks=missing_chunks, **options)  # type: ignore[arg-type]  # checked there
    except (UsageError, DataError) as error:
        several = kind_of(path, options.get("format")) in ("hdf5", "zarr")
        if not several or x is not None or isinstance(error, CorruptError | NotFound):
            raise
        source, note = None, str(error)
    datasets = tuple(_datasets(path, kind_of(path, options.get("format"))))
    stored = sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size
    if source is None:
        return Inspection(str(path), stored, datasets, {}, None, None, None, note)
    schema = source.schema
    columns = {name: str(dtype) for name, dtype in zip(schema.names, schema.dtypes, strict=True)}
    return Inspection(
        str(path),
        stored,
        datasets,
        columns,
        schema.n_rows,
        len(source.partitions()),
        source.nbytes(),
        note,
        source.where,
        sum(b - a for a, b in source.unread()) if isinstance(source, FilteredSource) else 0,
    )


def size(count: float) -> str:
    """Return bytes for people: ``"808.0 MB"``."""
    if count < 1000:
        return f"{count:,.0f} bytes"
    power = min(4, int(math.log10(count)) // 3)
    return f"{count / 1000**power:,.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def _many(count: int | None, noun: str) -> str:
    return f"? {noun}s" if count is None else f"{count:,} {noun}{'' if count == 1 else 's'}"


def _datasets(path: Path, kind: str | None) -> Iterator[Dataset]:
    if kind == "npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        order = "columns one after the other" if array.ndim > 1 and not array.flags.c_contiguous else "contiguous"
        yield Dataset("", array.shape, str(array.dtype), order, array.nbytes)
    elif kind == "hdf5":
        yield from _hdf5(path)
    elif kind == "zarr":
        yield from _zarr(path)


def _hdf5(path: Path) -> list[Dataset]:
    import h5py

    from streamreg.sources.stored.coding import told

    found = []

    def note(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset) and thing.shape is not None:
            layout = {h5py.h5d.COMPACT: "compact", h5py.h5d.VIRTUAL: "virtual"}.get(
                thing.id.get_create_plist().get_layout(), "contiguous"
            )
            if thing.chunks is not None:
                layout = _chunked(thing.chunks, thing.compression)
            size_there, meaning = thing.id.get_storage_size(), told(thing.attrs)
            found.append(Dataset(name, thing.shape, str(thing.dtype), layout, size_there, meaning))

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return found


def _zarr(path: Path) -> Iterator[Dataset]:
    import zarr

    from streamreg.sources.stored.coding import told

    root = zarr.open(path, mode="r")
    arrays = [("", root)] if isinstance(root, zarr.Array) else sorted(root.members(max_depth=None))
    for name, array in arrays:
        if isinstance(array, zarr.Array):
            codecs = " + ".join(type(c).__name__.removesuffix("Codec").lower() for c in array.compressors)
            layout = _chunked(array.chunks, codecs)
            if array.shards is not None:
                layout += f", shards {_times(array.shards)}"
            folder = path / name
            stored = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            layout += f", format {array.metadata.zarr_format}"
            attributes = array.metadata.attributes
            meaning = told(attributes) if isinstance(attributes, dict) else ""
            yield Dataset(name, array.shape, str(array.dtype), layout, stored, meaning)


def _chunked(shape: tuple[int, ...], compression: str | None) -> str:
    return f"chunks {_times(shape)}" + (f", {compression}" if compression else "")


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{n:,}" for n in shape)
