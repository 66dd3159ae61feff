"""Laws that every storage obeys."""

import itertools
import pickle
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from storages import DTYPES, MAKERS, Maker, duckdb_file, duckdb_query, table

import streamreg as sr
import streamreg.sources as sources
from streamreg.sources import Partition, Source
from streamreg.sources.held import held

RESTARTABLE = [name for name in MAKERS if name != "function"]


def ids(name: str) -> str:
    return name.replace(" ", "-")


@pytest.fixture(params=MAKERS, ids=ids)
def maker(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


def read(source: Source, parts: Iterable[Partition] | None = None, rows: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows, having checked how the chunks are numbered and shaped."""
    xs, ys = [], []
    for part in source.partitions() if parts is None else parts:
        at = part.start
        for chunk in part.chunks(rows):
            target = chunk.vectors[source.roles.target or ""]
            assert chunk.start == at
            assert len(chunk) > 0
            assert chunk.matrix.shape == (len(chunk), len(chunk.names))
            assert target.shape == (len(chunk),)
            assert chunk.matrix.dtype.isnative
            assert target.dtype.isnative
            at += len(chunk)
            names = [name for name in source.schema.names if name != source.roles.target]
            table = chunk.matrix if chunk.names == tuple(names) else np.column_stack([chunk.column(n) for n in names])
            xs.append(table.copy())
            ys.append(target.copy())
        assert part.stop in (None, at)
    return np.concatenate(xs), np.concatenate(ys)


def same(got: tuple[np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray) -> None:
    np.testing.assert_array_equal(got[0], x)
    np.testing.assert_array_equal(got[1], y)
    assert got[0].dtype == x.dtype
    assert got[1].dtype == y.dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_comes_back_as_it_was(maker: Maker, dtype: str, tmp_path: Path) -> None:
    if dtype == "f2" and maker in (duckdb_file, duckdb_query):  # which have no numbers of half precision
        dtype = "f4"
    x, y = table(dtype)
    source = maker(tmp_path, x, y)
    assert source.schema.names == (*(f"x{i}" for i in range(11)), source.roles.target)
    assert source.schema.dtypes == (*[np.dtype(dtype)] * 11, np.dtype("f8"))
    assert source.schema.n_rows in (None, len(x))
    assert source.nbytes() in (None, x.nbytes + y.nbytes)
    same(read(source), x, y)


@pytest.mark.parametrize("rows", [1, 7, 1024, 100_000])
def test_any_chunk_length_gives_the_same_rows(maker: Maker, rows: int, tmp_path: Path) -> None:
    x, y = table("f4")
    same(read(maker(tmp_path, x, y), rows=rows), x, y)


def test_reading_twice_gives_the_same(maker: Maker, tmp_path: Path) -> None:
    x, y = table("f8")
    source = maker(tmp_path, x, y)
    assert not source.one_pass
    first = source.fingerprint()
    same(read(source), x, y)
    same(read(source), x, y)
    assert source.fingerprint() == first


@pytest.mark.parametrize("name", MAKERS, ids=ids)
def test_partitions_tile_the_rows_and_threads_read_them_alike(name: str, tmp_path: Path) -> None:
    x, y = table("f8", rows=45_000, width=110)
    source = MAKERS[name](tmp_path, x, y)
    parts = list(source.partitions())
    if source.schema.n_rows is not None:
        assert len(parts) > 1 or name == "dask and array"
        assert parts[0].start == 0
        assert parts[-1].stop == len(x)
        assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
        assert [(p.start, p.stop) for p in source.partitions()] == [(p.start, p.stop) for p in parts]
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda part: read(source, [part]), parts))
    same((np.concatenate([g[0] for g in got]), np.concatenate([g[1] for g in got])), x, y)


@pytest.mark.parametrize("name", MAKERS, ids=ids)
def test_ranges_of_rows_are_those_rows(name: str, tmp_path: Path) -> None:
    x, y = table("f8")
    source, spans = MAKERS[name](tmp_path, x, y), [(5, 6), (300, 1100), (len(x) - 3, len(x))]
    parts = source.partitions()
    if any(part.stop is None for part in parts):
        pytest.skip("rows are made as they are asked for")
    cuts = [(part, max(a, part.start), min(b, part.stop)) for a, b in spans for part in parts if part.stop is not None]
    for rows in (100, 4096):
        got = read(source, [part.within(a, b) for part, a, b in cuts if a < b], rows)
        same(got, *(np.concatenate([whole[a:b] for a, b in spans]) for whole in (x, y)))
    columns = [name for name in source.schema.names if name != source.roles.target] + [source.roles.target or ""]
    part = held(source, spans, columns, lambda function, items: map(function, items))
    assert part is not None
    same(read(part), *(np.concatenate([whole[a:b] for a, b in spans]) for whole in (x, y)))


def test_four_threads_on_the_same_partition(maker: Maker, tmp_path: Path) -> None:
    x, y = table("f8")
    source = maker(tmp_path, x, y)
    with ThreadPoolExecutor(4) as threads:
        for got in threads.map(lambda _: read(source), range(8)):
            same(got, x, y)


@pytest.mark.parametrize("name", RESTARTABLE, ids=ids)
def test_partitions_pickle(name: str, tmp_path: Path) -> None:
    x, y = table("f8")
    source = MAKERS[name](tmp_path, x, y)
    same(read(source, pickle.loads(pickle.dumps(list(source.partitions())))), x, y)


@pytest.mark.parametrize(
    "name",
    [n for n in RESTARTABLE if n.startswith(("npy", "hdf5", "zarr", "parquet", "feather", "duckdb")) or n == "npz"],
    ids=ids,
)
def test_a_pickled_partition_of_a_file_is_small(name: str, tmp_path: Path) -> None:
    source = MAKERS[name](tmp_path, *table("f8"))
    assert all(len(pickle.dumps(p)) < 4000 for p in source.partitions())


@pytest.mark.parametrize("name", RESTARTABLE, ids=ids)
def test_fingerprint_changes_with_the_data(name: str, tmp_path: Path) -> None:
    x, y = table("f8")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = MAKERS[name](tmp_path / "one", x, y), MAKERS[name](tmp_path / "two", x + 1, y)
    assert one.fingerprint() != two.fingerprint()


@pytest.mark.parametrize("threads", [1, 3])
def test_every_storage_gives_the_same_bits_of_a_fit(maker: Maker, threads: int, tmp_path: Path) -> None:
    x, y = table("f8", rows=20_000)
    plain, stored = ({"data": data} for data in (sources.open((x, y)), maker(tmp_path, x, y)))
    fits = [sr.Linear(errors="HC1").fit(**kind, threads=threads, progress=False) for kind in (plain, stored)]
    np.testing.assert_array_equal(fits[0].coef, fits[1].coef)
    np.testing.assert_array_equal(fits[0].std_errors, fits[1].std_errors)


def test_an_array_is_not_copied() -> None:
    x, y = table("f8")
    for part in sources.open((x, y)).partitions():
        for chunk in part.chunks(100):
            assert np.shares_memory(chunk.matrix, x)
            assert np.shares_memory(chunk.vectors["y"], y)


def test_a_file_is_cut_at_multiples_of_the_rows_asked_for(tmp_path: Path) -> None:
    x, _ = table("f8", rows=30_000, width=50)
    np.save(tmp_path / "a.npy", x)
    starts = [c.start for p in sources.open(tmp_path / "a.npy").partitions() for c in p.chunks(512)]
    assert len(starts) > 5
    assert all(s % 512 == 0 for s in starts)


def test_one_buffer_serves_a_whole_partition(tmp_path: Path) -> None:
    x, _ = table("f8", rows=30_000, width=50)
    np.save(tmp_path / "a.npy", x)
    (part,) = sources.open(tmp_path / "a.npy").partitions()
    chunks = [chunk.matrix for chunk in part.chunks(512)]
    assert all(np.shares_memory(chunk, chunks[0]) for chunk in chunks)


def test_storage_chunks_are_partition_borders(tmp_path: Path) -> None:
    x, y = table("f8", rows=45_000, width=110)
    source = MAKERS["zarr 3"](tmp_path, x, y)
    assert all(p.start % 1000 == 0 for p in source.partitions())


def test_vectors_with_large_chunks_are_not_decoded_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import h5py

    x, y = table("f8", rows=50_000, width=20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", data=x, chunks=(1000, 20))
        file.create_dataset("y", data=y, chunks=(20_000,), compression="lzf")
    asked = []
    real = h5py.Dataset.read_direct

    def counting(self: h5py.Dataset, out: np.ndarray, *selection: object) -> None:
        if self.ndim == 1:
            asked.append(selection)
        real(self, out, *selection)

    monkeypatch.setattr(h5py.Dataset, "read_direct", counting)
    same(read(sources.open(tmp_path / "a.h5", target="y")), x, y)
    assert len(asked) == 1


@pytest.mark.parametrize("wanted", [("x3",), ("x0", "x10"), ("x9", "x2", "x5"), ()])
def test_columns_that_are_asked_for_come_as_they_were(maker: Maker, wanted: tuple[str, ...], tmp_path: Path) -> None:
    x, y = table("f8")
    source = maker(tmp_path, x, y)
    target = source.roles.target or ""
    columns = {name: x[:, k] for k, name in enumerate(source.schema.names[:-1])} | {target: y}
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*wanted, target)}
    for part in source.partitions(columns=(*wanted, target)):
        for chunk in part.chunks(256):
            for name in wanted:
                found[name].append(chunk.column(name).copy())  # type: ignore[arg-type]
            found[target].append(chunk.vectors[target].copy())
    for name, pieces in found.items():
        np.testing.assert_array_equal(np.concatenate(pieces), columns[name])


@pytest.mark.parametrize("name", ["hdf5 gzip narrow chunks", "zarr 2", "zarr 3 sharded", "npy Fortran order"])
def test_columns_that_are_not_asked_for_are_not_read(name: str, tmp_path: Path) -> None:
    source = MAKERS[name](tmp_path, *table("f8"))
    (part,) = source.partitions(columns=("x9",))
    (names,) = {chunk.names for chunk in part.chunks(256)}
    assert "x9" in names
    assert len(names) <= 4
    assert all(not chunk.vectors for chunk in part.chunks(256))
