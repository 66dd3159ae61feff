"""Files that are damaged, cut short, replaced or empty are told, by file and row group."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

import streamreg as sr
from streamreg.errors import CorruptError, StreamregError

N = 20_000
X = np.random.default_rng(1).normal(size=(N, 3))
TABLE = pa.table({"a": X[:, 0], "b": X[:, 1], "y": X.sum(axis=1)})


def parquet(path: Path) -> None:
    pq.write_table(TABLE, path, row_group_size=5000, use_dictionary=False, write_page_checksum=True, compression="zstd")


def arrow(path: Path) -> None:
    feather.write_feather(TABLE, path, chunksize=5000)


def stream(path: Path) -> None:
    with pa.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=5000)


def npz(path: Path) -> None:
    np.savez_compressed(path, a=X[:, 0], b=X[:, 1], y=X[:, 2])


def plain_npz(path: Path) -> None:
    np.savez(path, a=X[:, 0], b=X[:, 1], y=X[:, 2])


WRITERS = {"a.parquet": parquet, "a.feather": arrow, "a.arrows": stream, "a.npz": npz, "b.npz": plain_npz}


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[Path], None]]:
    path = tmp_path / request.param
    WRITERS[request.param](path)
    return path, WRITERS[request.param]


def test_a_file_that_is_cut_short_is_told(written: tuple[Path, Callable[[Path], None]]) -> None:
    path, _ = written
    content = path.read_bytes()
    for kept in (0, 1, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:kept])
        if path.suffix == ".arrows" and kept == len(content) - 1:
            continue  # the mark of the end is not needed to have all rows
        with pytest.raises(sr.DataError, match=path.name):
            sr.Linear().fit(sr.open(path, target="y"))


def test_a_file_that_changes_is_told(written: tuple[Path, Callable[[Path], None]]) -> None:
    path, write = written
    data = sr.open(path, target="y")
    parts = data.partitions()
    path.unlink()
    with pytest.raises(sr.DataError, match=r"gone since|could be opened before"):
        list(parts[0].chunks(100))
    write(path)
    with pytest.raises(sr.DataError, match="was written to since it was opened"):
        list(parts[0].chunks(100))
    np.testing.assert_array_equal(sr.Linear().fit(sr.open(path, target="y")).n, N)


def test_bytes_that_change_are_told_where_there_are_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet(path)
    content = bytearray(path.read_bytes())
    meta = pq.read_metadata(path)
    column = meta.row_group(2).column(1)
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(CorruptError, match=r"a.parquet, row groups 0-3: rows from .* cannot be read"):
        sr.Linear().fit(sr.open(path, target="y"))
    sr.Linear(features=("a",)).fit(sr.open(path, target="y"))


def test_bytes_that_change_anywhere_never_crash(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    for name in ("a.parquet", "a.feather", "a.npz"):
        path = tmp_path / name
        WRITERS[name](path)
        sound = path.read_bytes()
        for _ in range(25):
            content = bytearray(sound)
            for place in random.integers(0, len(sound), 3):
                content[place] ^= int(random.integers(1, 256))
            path.write_bytes(content)
            try:
                sr.Linear(missing="drop").fit(sr.open(path, target="y"))
            except StreamregError as error:
                assert name in str(error)  # noqa: PT017


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    for name in ("a.parquet", "a.feather", "a.arrows", "a.npz"):
        (tmp_path / name).write_text("PAR1 ARROW1 PK, but not really" * 10)
        with pytest.raises(CorruptError, match=f"{name}: not a readable"):
            sr.open(tmp_path / name)


def test_tables_without_rows_or_columns_are_told(tmp_path: Path) -> None:
    for table in (TABLE.slice(0, 0), pa.table({})):
        for name, write in (("a.parquet", pq.write_table), ("a.feather", feather.write_feather)):
            write(table, tmp_path / name)
            with pytest.raises(sr.DataError, match=f"{name}: has no rows"):
                sr.open(tmp_path / name)
    np.savez(tmp_path / "a.npz")
    with pytest.raises(sr.DataError, match="has no arrays"):
        sr.open(tmp_path / "a.npz")


def test_archives_that_are_no_table_are_told(tmp_path: Path) -> None:
    for arrays, words in (
        ({"a": np.zeros(3), "b": np.zeros(2)}, "'b' has 2 rows and 'a' has 3"),
        ({"a": np.array(1.0)}, "single value"),
        ({"a": np.zeros((2, 2, 2))}, r"shape \(2, 2, 2\)"),
        ({"a": np.array([None, 1])}, "Python objects"),
        ({"a": np.zeros((2, 1)), "a0": np.zeros((2, 2)), "a00": np.zeros(2)}, "two columns are called 'a00'"),
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(sr.DataError, match=words):
            sr.open(tmp_path / "a.npz")
