"""Every way to store a table, in one list: each meets every law of test_source_laws.py."""

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import dask.array as da
import dask.dataframe as dd
import duckdb
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from pyarrow import feather
from pyarrow.dataset import dataset

import streamreg.sources as sources
from streamreg.sources import Source
from streamreg.sources.arrow.frames import open_frame

Maker = Callable[[Path, np.ndarray, np.ndarray], Source]


def array(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return sources.open((x, y))


def array_fortran(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return sources.open((np.asfortranarray(x), y[:, None]))


def array_foreign_order(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return sources.open((x.astype(x.dtype.newbyteorder(">")), y))


def mapping(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return sources.open({f"x{k}": x[:, k] for k in range(x.shape[1])} | {"y": y}, target="y")


def npy(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    np.save(folder / "a.npy", x)
    np.save(folder / "y.npy", y)
    return sources.open(folder / "a.npy", target="y.npy")


def npy_fortran(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    np.save(folder / "a.npy", np.asfortranarray(x))
    np.save(folder / "y.npy", y)
    return sources.open(folder / "a.npy", target=str(folder / "y.npy"))


def npy_foreign_order(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    np.save(folder / "a.npy", x.astype(x.dtype.newbyteorder(">")))
    np.save(folder / "y.npy", y.astype(">f8"))
    return sources.open(folder / "a.npy", target="y.npy")


def hdf5(userblock: int = 0, foreign: bool = False, **options: Any) -> Maker:
    def make(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
        with h5py.File(folder / "a.h5", "w", userblock_size=userblock) as file:
            stored = x.astype(x.dtype.newbyteorder(">")) if foreign else x
            full = options | {k: tuple(map(min, v, x.shape)) for k, v in options.items() if k == "chunks"}
            file.create_dataset("group/X", data=stored, **full)
            file.create_dataset("y", data=y, chunks=(333,) if options.get("chunks") else None)
        return sources.open(folder / "a.h5", target="y")

    return make


def hdf5_compact(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    with h5py.File(folder / "a.h5", "w") as file:
        file["y"] = y
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact = x.nbytes < 60_000
        properties.set_layout(h5py.h5d.COMPACT if compact else h5py.h5d.CONTIGUOUS)
        space = h5py.h5s.create_simple(x.shape)
        h5py.Dataset(h5py.h5d.create(file.id, b"X", h5py.h5t.py_create(x.dtype), space, properties))[...] = x
    return sources.open(folder / "a.h5", target="y")


def hdf5_virtual(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    half = len(x) // 2
    layout = h5py.VirtualLayout(shape=x.shape, dtype=x.dtype)
    for name, rows in (("one", slice(0, half)), ("two", slice(half, len(x)))):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["part"] = x[rows]
        layout[rows] = h5py.VirtualSource(f"{name}.h5", "part", shape=x[rows].shape)
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_virtual_dataset("X", layout)
        file["y"] = y
    return sources.open(folder / "a.h5", target="y")


def hdf5_linked(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    with h5py.File(folder / "b.h5", "w") as file:
        file["X"] = x
    with h5py.File(folder / "a.h5", "w") as file:
        file["X"] = h5py.ExternalLink("b.h5", "/X")
        file["y"] = y
    return sources.open(folder / "a.h5", x="X", target="y")


def zarr_group(**options: Any) -> Maker:
    def make(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
        group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=options.get("zarr_format", 3))
        full = {"config": {"write_empty_chunks": True}, **options}
        full.pop("zarr_format", None)
        wide = max(1, x.shape[1] // 11)
        full |= {name: tuple(n * wide for n in full[name]) for name in ("chunks", "shards") if name in full}
        group.create_array("deep/X", data=x, **full)
        group.create_array("y", data=y, chunks=(333,), config={"write_empty_chunks": True})
        return sources.open(folder / "a.zarr", x="deep/X", target="y")

    return make


def dask_array(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return sources.open((da.from_array(x, chunks=(700, 4)), da.from_array(y, chunks=(1000,))))


def dask_and_array(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    rows = (0, 1, len(x) - 1)
    return sources.open((da.from_array(x, chunks=(rows, (x.shape[1],))), y))


def frame(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{k}": np.ascontiguousarray(x[:, k]) for k in range(x.shape[1])} | {"y": y}


def whole(x: np.ndarray, y: np.ndarray) -> pa.Table:
    """Return a table that says of itself that nothing is missing."""
    found = pa.table(frame(x, y))
    return found.cast(pa.schema([pa.field(f.name, f.type, nullable=False) for f in found.schema]))


def parquet(rows: int, **options: Any) -> Maker:
    def make(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
        pq.write_table(pa.table(frame(x, y)), folder / "a.parquet", row_group_size=rows, **options)
        return sources.open(folder / "a.parquet", target="y")

    return make


def parquet_folder(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    (folder / "a").mkdir()
    held = whole(x, y)
    for k, (a, b) in enumerate(itertools.pairwise([0, 1, 600, 600, len(x)])):
        order = held.column_names[k:] + held.column_names[:k]
        pq.write_table(held.select(order).slice(a, b - a), folder / "a" / f"{k}.parquet")
    return sources.open(folder / "a", target="y")


def arrow_file(**options: Any) -> Maker:
    def make(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
        feather.write_feather(whole(x, y), folder / "a.feather", **options)
        return sources.open(folder / "a.feather", target="y")

    return make


def arrow_stream(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    with pa.ipc.new_stream(folder / "a.arrows", whole(x, y).schema) as writer:
        writer.write_table(whole(x, y), max_chunksize=777)
    return sources.open(folder / "a.arrows", target="y")


def arrow_table(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    held = whole(x, y)
    return open_frame(pa.concat_tables([held.slice(0, 800), held.slice(800)])).with_roles(target="y")


def arrow_data_set(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    pq.write_table(whole(x, y), folder / "a.parquet", row_group_size=500)
    return sources.open(dataset(folder / "a.parquet"), target="y")


def pandas_frame(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return open_frame(pd.DataFrame(frame(x, y))).with_roles(target="y")


def polars_frame(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return open_frame(pl.DataFrame(frame(x, y))).with_roles(target="y")


def polars_lazy(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return sources.open(pl.DataFrame(frame(x, y)).lazy(), target="y")


def dask_frame(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return sources.open(dd.from_pandas(pd.DataFrame(frame(x, y)), chunksize=611), target="y")


def duckdb_query(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    pq.write_table(pa.table(frame(x, y)), folder / "a.parquet")
    return sources.open("duckdb:", query=f"select * from '{folder / 'a.parquet'}'", target="y")


def duckdb_file(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    with duckdb.connect(folder / "a.db") as connection:
        connection.register("held", whole(x, y))
        connection.execute("create table rows as select * from held")
    return sources.open(f"duckdb:{folder / 'a.db'}", query="select * from rows", target="y")


def npz(save: Callable[..., None]) -> Maker:
    def make(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
        save(folder / "a.npz", x=x, y=y)
        return sources.open(folder / "a.npz", target="y")

    return make


def npy_records(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    records = np.empty(len(x), [*((f"x{k}", x.dtype) for k in range(x.shape[1])), ("y", ">f8")])
    for name, values in frame(x, y).items():
        records[name] = values
    np.save(folder / "a.npy", records)
    return sources.open(folder / "a.npy", target="y")


def batches(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    cuts = [0, 1, 2, 2, 500, len(x)]
    return sources.open([(x[a:b], y[a:b]) for a, b in itertools.pairwise(cuts)])


def function(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
    return sources.open(lambda: ((x[a : a + 99], y[a : a + 99]) for a in range(0, len(x), 99)))


def filtered(maker: Maker) -> Maker:
    """Return a storage of which a filter lets all rows pass."""

    def make(folder: Path, x: np.ndarray, y: np.ndarray) -> Source:
        return sources.open(maker(folder, x, y), where="y is missing or y < 1e300 or x0 > 0")

    return make


MAKERS: dict[str, Maker] = {
    "array": array,
    "array Fortran order": array_fortran,
    "array foreign byte order": array_foreign_order,
    "mapping": mapping,
    "npy": npy,
    "npy Fortran order": npy_fortran,
    "npy foreign byte order": npy_foreign_order,
    "hdf5 contiguous": hdf5(),
    "hdf5 contiguous foreign byte order": hdf5(foreign=True),
    "hdf5 contiguous user block": hdf5(userblock=512),
    "hdf5 compact": hdf5_compact,
    "hdf5 chunked": hdf5(chunks=(100, 3)),
    "hdf5 chunked foreign byte order": hdf5(chunks=(100, 11), foreign=True),
    "hdf5 gzip foreign byte order": hdf5(chunks=(100, 11), foreign=True, compression="gzip", shuffle=True),
    "hdf5 gzip user block": hdf5(chunks=(100, 4), compression="gzip", userblock=1024),
    "hdf5 shuffle alone": hdf5(chunks=(100, 4), shuffle=True),
    "hdf5 one chunk": hdf5(chunks=(2500, 11)),
    "hdf5 gzip shuffle": hdf5(chunks=(128, 11), compression="gzip", shuffle=True),
    "hdf5 gzip narrow chunks": hdf5(chunks=(128, 4), compression="gzip"),
    "hdf5 lzf": hdf5(chunks=(1000, 2), compression="lzf"),
    "hdf5 fletcher32": hdf5(chunks=(100, 11), fletcher32=True),
    "hdf5 gzip fletcher32": hdf5(chunks=(128, 4), compression="gzip", shuffle=True, fletcher32=True),
    "hdf5 blosc": hdf5(chunks=(128, 4), **hdf5plugin.Blosc()),
    "hdf5 lz4": hdf5(chunks=(128, 11), **hdf5plugin.LZ4()),
    "hdf5 zstd": hdf5(chunks=(128, 11), **hdf5plugin.Zstd(), shuffle=True),
    "hdf5 bitshuffle": hdf5(chunks=(128, 4), **hdf5plugin.Bitshuffle()),
    "hdf5 blosc2": hdf5(chunks=(128, 11), **hdf5plugin.Blosc2()),
    "hdf5 virtual": hdf5_virtual,
    "hdf5 external link": hdf5_linked,
    "zarr 2": zarr_group(zarr_format=2, chunks=(100, 4)),
    "zarr 2 nested keys": zarr_group(
        zarr_format=2, chunks=(100, 4), chunk_key_encoding={"name": "v2", "separator": "/"}
    ),
    "zarr 3": zarr_group(chunks=(100, 11)),
    "zarr 3 uncompressed": zarr_group(chunks=(100, 4), compressors=None),
    "zarr 3 flat keys": zarr_group(chunks=(100, 4), chunk_key_encoding={"name": "v2", "separator": "."}),
    "zarr 3 sharded": zarr_group(chunks=(100, 4), shards=(400, 12)),
    "zarr 3 foreign byte order": zarr_group(chunks=(100, 4), serializer=zarr.codecs.BytesCodec(endian="big")),
    "zarr 3 by the library": zarr_group(chunks=(100, 4), filters=zarr.codecs.TransposeCodec(order=(1, 0))),
    "dask": dask_array,
    "dask and array": dask_and_array,
    "parquet": parquet(1000),
    "parquet small row groups": parquet(97, compression="zstd", write_page_checksum=True),
    "parquet one row group": parquet(10**6, use_dictionary=False, data_page_size=4096),
    "parquet folder": parquet_folder,
    "feather": arrow_file(chunksize=700),
    "feather uncompressed": arrow_file(compression="uncompressed"),
    "arrow stream": arrow_stream,
    "arrow table": arrow_table,
    "arrow data set": arrow_data_set,
    "pandas": pandas_frame,
    "polars": polars_frame,
    "polars lazy": polars_lazy,
    "dask frame": dask_frame,
    "duckdb query": duckdb_query,
    "duckdb file": duckdb_file,
    "npz": npz(np.savez),
    "npz compressed": npz(np.savez_compressed),
    "npy records": npy_records,
    "batches": batches,
    "function": function,
    "array filtered": filtered(array),
    "hdf5 filtered": filtered(hdf5()),
    "parquet filtered": filtered(parquet(97)),
}

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "bool"]


@cache
def table(dtype: str, rows: int = 2500, width: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix of that type, and a target."""
    rng = np.random.default_rng(7)
    return (rng.standard_normal((rows, width)) * 50).astype(dtype), rng.standard_normal(rows)
