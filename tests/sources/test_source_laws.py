"""Laws that every storage obeys."""

import itertools
import pickle
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from storages import DTYPES, MAKERS, Maker, duckdb_file, duckdb_query, table

import streamreg as sr
import streamreg.sources as sources
from streamreg.sources import Partition, Source, base, dask
from streamreg.sources.arrow import source as arrow
from streamreg.sources.held import held

RESTARTABLE = [name for name in MAKERS if name != "function"]
FILES = [n for n in RESTARTABLE if n.startswith(("npy", "hdf5", "zarr", "parquet", "feather", "duckdb")) or n == "npz"]


def ids(name: str) -> str:
    return name.replace(" ", "-")


@pytest.fixture(params=MAKERS, ids=ids)
def maker(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


@pytest.fixture(scope="module", params=MAKERS, ids=ids)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Source]:
    """Return each storage by name, with a table that no test changes."""
    return request.param, MAKERS[request.param](tmp_path_factory.mktemp("stored"), *table("f8"))


def cut_into(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Make partitions of about so many bytes, so that a small table has several."""
    monkeypatch.setattr(base, "PARTITION_BYTES", size)
    monkeypatch.setattr(dask, "_PARTITION_BYTES", size)
    monkeypatch.setattr(arrow, "PART_BYTES", size // 2)


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


def test_every_type_comes_back_as_it_was(maker: Maker, tmp_path: Path) -> None:
    for dtype in DTYPES:
        if dtype == "f2" and maker in (duckdb_file, duckdb_query):  # which have no numbers of half precision
            continue
        x, y = table(dtype, rows=1000)
        (tmp_path / dtype).mkdir()
        source = maker(tmp_path / dtype, x, y)
        assert source.schema.names == (*(f"x{i}" for i in range(11)), source.roles.target)
        assert source.schema.dtypes == (*[np.dtype(dtype)] * 11, np.dtype("f8"))
        assert source.schema.n_rows in (None, len(x))
        assert source.nbytes() in (None, x.nbytes + y.nbytes)
        same(read(source), x, y)


def test_runs_are_all_rows_in_their_order(stored: tuple[str, Source]) -> None:
    _, source = stored
    same(read(source, [part for run in source.runs() for part in run]), *table("f8"))


def test_every_reading_in_chunks_of_any_length_gives_the_same_rows(stored: tuple[str, Source]) -> None:
    _, source = stored
    assert not source.one_pass
    first = source.fingerprint()
    for rows in (1, 7, 256, 1024, 100_000):
        same(read(source, rows=rows), *table("f8"))
    assert source.fingerprint() == first


@pytest.mark.parametrize("name", MAKERS, ids=ids)
def test_partitions_tile_the_rows_and_threads_read_them_alike(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_into(monkeypatch, 2**21)  # of more than one buffer of many sources
    x, y = table("f8", rows=9_000, width=55)
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


def test_ranges_of_rows_are_those_rows(stored: tuple[str, Source]) -> None:
    _, source = stored
    x, y = table("f8")
    spans, parts = [(5, 6), (300, 1100), (len(x) - 3, len(x))], source.partitions()
    if any(part.stop is None for part in parts):
        pytest.skip("rows are made as they are asked for")
    cuts = [(part, max(a, part.start), min(b, part.stop)) for a, b in spans for part in parts if part.stop is not None]
    for rows in (100, 4096):
        got = read(source, [part.cut(a, b) for part, a, b in cuts if a < b], rows)
        same(got, *(np.concatenate([whole[a:b] for a, b in spans]) for whole in (x, y)))
    columns = [name for name in source.schema.names if name != source.roles.target] + [source.roles.target or ""]
    part = held(source, spans, columns, lambda function, items: map(function, items))
    assert part is not None
    same(read(part), *(np.concatenate([whole[a:b] for a, b in spans]) for whole in (x, y)))


def test_four_threads_on_the_same_partition(stored: tuple[str, Source]) -> None:
    _, source = stored
    with ThreadPoolExecutor(4) as threads:
        for got in threads.map(lambda _: read(source), range(8)):
            same(got, *table("f8"))


def test_partitions_pickle_and_those_of_a_file_are_small(stored: tuple[str, Source]) -> None:
    name, source = stored
    if name not in RESTARTABLE:
        return
    pickled = [pickle.dumps(part) for part in source.partitions()]
    assert name not in FILES or max(map(len, pickled)) < 4000
    same(read(source, [pickle.loads(part) for part in pickled]), *table("f8"))


def test_fingerprint_changes_with_the_data(stored: tuple[str, Source], tmp_path: Path) -> None:
    name, source = stored
    x, y = table("f8")
    assert name not in RESTARTABLE or MAKERS[name](tmp_path, x + 1, y).fingerprint() != source.fingerprint()


@cache
def fit_of_arrays(rows: int) -> sr.FitResult:
    return sr.Linear(errors="HC1").fit(table("f8", rows=rows), progress=False)


def test_every_storage_gives_the_same_bits_of_a_fit(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, source = fit_of_arrays(6_000), maker(tmp_path, *table("f8", rows=6_000))
    cut_into(monkeypatch, 2**17)
    for threads in (1, 3):
        fit = sr.Linear(errors="HC1").fit(source, threads=threads, progress=False)
        np.testing.assert_array_equal(fit.coef, plain.coef)
        np.testing.assert_array_equal(fit.std_errors, plain.std_errors)


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


def test_storage_chunks_are_partition_borders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_into(monkeypatch, 2**21)
    x, y = table("f8", rows=9_000, width=55)
    parts = list(MAKERS["zarr 3"](tmp_path, x, y).partitions())
    assert len(parts) > 1
    assert all(p.start % 500 == 0 for p in parts)


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


def test_columns_that_are_asked_for_come_as_they_were(stored: tuple[str, Source]) -> None:
    _, source = stored
    x, y = table("f8")
    target = source.roles.target or ""
    columns = {name: x[:, k] for k, name in enumerate(source.schema.names[:-1])} | {target: y}
    for wanted in (("x3",), ("x0", "x10"), ("x9", "x2", "x5"), ()):
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
