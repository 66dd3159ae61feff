"""What can be wrong with the data or the call, and what is said about it."""

import mmap
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from scipy.sparse import csr_matrix
from storages import table

import streamreg.sources as sources
from streamreg.errors import (
    ChangedError,
    CorruptError,
    DataError,
    NotFound,
    OnePassError,
    StreamregError,
    UsageError,
)

X, Y = table("f8", rows=100, width=4)


def refused(error: type[StreamregError], *words: str, **options: Any) -> None:
    """Check that opening and reading raises, with all these words in the message."""
    data = options.pop("data")

    def attempt() -> None:
        for part in sources.open(data, **options).partitions():
            for _ in part.chunks(10):
                pass

    with pytest.raises(error) as caught:
        attempt()
    for word in words:
        assert word in str(caught.value), str(caught.value)


# --- the call -------------------------------------------------------------------------------------------------------


def test_importing_loads_no_storage_library() -> None:
    code = (
        "import sys, numpy, streamreg.sources as s; list(s.open((numpy.ones((2, 2)), numpy.ones(2))).partitions());"
        "assert not {'h5py', 'zarr', 'dask'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_file_offers_the_nearest(tmp_path: Path) -> None:
    for name in ("million.h5", "million.npy"):
        (tmp_path / name).touch()
    refused(NotFound, "milion.npy", "no such file", "did you mean 'million.npy'", data=tmp_path / "milion.npy")
    refused(NotFound, "milion.h5", "did you mean 'million.h5'", data=str(tmp_path / "milion.h5"))
    refused(NotFound, "no folder", data=tmp_path / "nowhere" / "a.npy")
    refused(NotFound, "no such file", data=tmp_path / "a.zarr")


def test_folder_where_a_file_is_expected(tmp_path: Path) -> None:
    for name in ("a.npy", "a.h5"):
        (tmp_path / name).mkdir()
        refused(DataError, name, "is a folder", data=tmp_path / name)


def test_unknown_suffix_lists_the_known(tmp_path: Path) -> None:
    refused(UsageError, "a.xlsx", "'.xlsx'", ".h5, .hdf5, .hdf, .zarr, .npy", data=tmp_path / "a.xlsx")
    refused(UsageError, "as Parquet, CSV, .npy or HDF5 once", "batches (X, y)", data=tmp_path / "a.dta")
    refused(UsageError, "only local files", data="https://example.org/data.h5")


@pytest.mark.parametrize("data", [3, None, 2.5])
def test_unknown_kind_lists_the_known(data: object) -> None:
    refused(UsageError, type(data).__name__, "pass a path, an array", data=data)


def test_open_objects_of_libraries_are_sent_back(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/X"] = X
        refused(UsageError, "h5py", "path", "x='group/X'", data=file["group/X"])
    refused(UsageError, "zarr", "path", data=zarr.array(X))


def test_tuples_of_anything_but_arrays_are_sent_back() -> None:
    refused(UsageError, "begins with a list", "numpy.asarray", data=(X.tolist(), Y.tolist()))
    refused(UsageError, "begins with a csr_matrix", ".toarray()", data=(csr_matrix(X), Y))
    refused(UsageError, "sparse matrix", "batches of rows", data=csr_matrix(X))


def test_lists_of_numbers_are_sent_back() -> None:
    for numbers in ([1.0, 2.0], [[1, 2], [3, 4]], X.tolist()):
        refused(UsageError, "a list of numbers", "numpy.asarray(data)", data=numbers)


def test_names_beside_a_file_are_as_many_as_its_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "a.npy.json").write_text('{"columns": ["a", "b"]}')
    refused(DataError, "a.npy.json: 2 column names for 4 columns", data=tmp_path / "a.npy")
    assert sources.open(tmp_path / "a.npy", columns=list("abcd")).schema.names == tuple("abcd")


def test_columns_go_by_name() -> None:
    refused(NotFound, "did you mean 'Y'?", data=X, columns=["Y", "yy", "x", "z"], target="y")
    refused(UsageError, "column 1 is a int", "there is x0", data=X, target=1)
    refused(UsageError, "column 0 is a int", data=(X, Y), features=[0, 1])


def test_a_function_that_returns_no_batches() -> None:
    refused(UsageError, "returned a int", "an iterator of (X, y)", data=lambda: 3)


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    refused(UsageError, "x='X'", "leave x out", data=tmp_path / "a.npy", x="X")
    refused(UsageError, "x='X'", "leave x out", data=(X, Y), x="X")
    refused(UsageError, "missing_chunks", "'error', 'fill' or 'fault'", data=X, missing_chunks="ignore")
    refused(UsageError, "pass columns when opening", data=sources.open((X, Y)), columns=["a"])


# --- roles and names ------------------------------------------------------------------------------------------------


def test_roles_of_a_tuple() -> None:
    source = sources.open((X, Y, Y**2), columns=["a", "b", "c", "d"], features=["a", "c"])
    assert source.schema.names == ("a", "b", "c", "d", "y", "weight")
    assert (source.roles.target, source.roles.weights, source.roles.features) == ("y", "weight", ("a", "c"))


def test_roles_of_a_matrix_alone() -> None:
    source = sources.open(X, target="x3", weights="x0")
    assert (source.roles.target, source.roles.weights) == ("x3", "x0")
    assert sources.open(source, target="x1").roles.target == "x1"
    assert source.roles.target == "x3"


def test_one_feature_may_be_a_text() -> None:
    assert sources.open((X, Y), features="x2").roles.features == ("x2",)


def test_wrong_roles() -> None:
    refused(NotFound, "no column 'x7'", "x3", data=X, target="x7")
    refused(UsageError, "'x3' is the target and named once more", data=X, target="x3", features=["x1", "x3"])
    refused(DataError, "two columns are called 'y'", data=(X, Y), columns=["y", "a", "b", "c"])
    refused(DataError, "3 column names for 4 columns", "columns", data=X, columns=["a", "b", "c"])


# --- arrays ---------------------------------------------------------------------------------------------------------


def test_arrays_that_are_no_table() -> None:
    refused(DataError, "array X", "(100,)", "reshape one feature to (n, 1)", data=X[:, 0])
    refused(DataError, "array X", "(10, 10, 4)", "two dimensions", data=X.reshape(10, 10, 4))
    refused(DataError, "array y", "'y' has 99 rows", "array X has 100", data=(X, Y[:99]))
    refused(DataError, "array weight", "'weight' has 98 rows", "has 100", data=(X, Y, Y[:98]))
    refused(DataError, "array y", "(100, 4)", "one number per row", data=(X, X))
    refused(DataError, "array X", "no rows", data=(X[:0], Y[:0]))
    refused(DataError, "array X", "no columns", data=X[:, :0])
    refused(UsageError, "4 arrays", "(X, y, weight)", data=(X, Y, Y, Y))


def test_arrays_that_are_not_numbers() -> None:
    records = np.zeros(3, [("a", "f8"), ("b", "i4")])
    refused(DataError, "fields a, b", "structured_to_unstructured", data=records)
    refused(DataError, "Python objects", "astype('float64')", data=X.astype(object))
    refused(DataError, "text", "astype('float64')", data=X.astype(str))
    refused(DataError, "complex128", "real and imaginary", data=X.astype(complex))
    refused(DataError, "longdouble" if np.dtype("g").name == "longdouble" else "float", data=X.astype("g"))
    refused(DataError, "datetime64", data=X.astype("M8[s]"))
    refused(DataError, "masked", "fill or drop", data=np.ma.masked_greater(X, 0))


# --- .npy -----------------------------------------------------------------------------------------------------------


def test_npy_names_from_the_side_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, X)
    side = tmp_path / "a.npy.json"
    side.write_text('{"columns": ["a", "b", "c", "d"], "target": "d"}')
    assert sources.open(path, target="d").schema.names == ("a", "b", "c", "d")
    assert sources.open(path, columns=list("wxyz")).schema.names == ("w", "x", "y", "z")
    side.write_text('{"columns": ["a"]}')
    refused(DataError, "1 column names for 4 columns", data=path)
    side.write_text("{columns")
    refused(DataError, "a.npy.json", "JSON", data=path)
    side.write_text("{}")
    assert sources.open(path).schema.names == ("x0", "x1", "x2", "x3")


def test_npy_target_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "y.npy", Y[:50])
    refused(DataError, "'y.npy' has 50 rows", "100", data=tmp_path / "a.npy", target="y.npy")
    refused(NotFound, "z.npy", "no such file", data=tmp_path / "a.npy", target=str(tmp_path / "z.npy"))


@pytest.mark.parametrize(("order", "words"), [("C", "60 whole rows"), ("F", "2 whole columns")])
def test_npy_truncated(tmp_path: Path, order: Any, words: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.asarray(X, order=order))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 40 * 4 * 8])
    refused(CorruptError, "a.npy", "truncated", words, "promised", data=path)


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_truncated_between_open_and_read(tmp_path: Path, order: Any) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.asarray(X, order=order))
    source = sources.open(path)
    chunks = source.partitions()[0].chunks(10)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ChangedError, match="written to since it was opened"):
        next(chunks)
    path.unlink()
    with pytest.raises(ChangedError, match="open it anew"):
        list(source.partitions()[0].chunks(10))
    with pytest.raises(ChangedError, match="gone"):
        source.fingerprint()


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_truncated_while_read(tmp_path: Path, order: Any) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((300_000, 10), order=order))
    chunks = sources.open(path).partitions()[0].chunks(1000)
    next(chunks)
    os.truncate(path, 1_000_000)
    with pytest.raises(CorruptError, match=r"truncated.*whole (rows|columns) are there"):
        list(chunks)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"PK\x03\x04 not an array at all", b"\x93NUMPY\x01\x00\x06\x00{'a':\n"]
)
def test_npy_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    refused(CorruptError, "a.npy", "not a readable .npy file", "numpy.save", data=tmp_path / "a.npy")


def test_npy_with_rows_appended_by_hand(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    with (tmp_path / "a.npy").open("ab") as file:
        file.write(X.tobytes())
    refused(CorruptError, "3,200 bytes follow the array of shape (100, 4)", data=tmp_path / "a.npy")


def test_npy_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for content, words in [
        (np.zeros((3, 1), [("a", "f8")]), "fields a"),
        (np.zeros((3, 1), [("ä", "f8")]), "records"),
        (X.astype(object), "Python objects"),
        (X.astype(complex), "real and imaginary"),
        (X[:, 0], "reshape one feature"),
        (np.array(3.0), "two dimensions"),
        (X[:0], "no rows"),
    ]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.save(path, content)
        refused(DataError, "a.npy", words, data=path)


# --- batches --------------------------------------------------------------------------------------------------------


def cut(*sizes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    at = 0
    for size in sizes:
        yield X[at : at + size], Y[at : at + size]
        at += size


def test_an_iterator_is_read_once() -> None:
    source = sources.open(cut(0, 1, 1, 58, 0, 40))
    assert source.one_pass
    got = [chunk.matrix for chunk in source.partitions()[0].chunks(8)]
    assert [len(g) for g in got] == [1, 1, 58, 40]
    np.testing.assert_array_equal(np.concatenate(got), X)
    with pytest.raises(OnePassError, match="pass a list of batches, or a function"):
        list(sources.open(source, features=["x1"]).partitions()[0].chunks(8))


def test_batches_with_weights() -> None:
    source = sources.open([(X, Y, Y**2), [X, Y[:, None], Y**2]])
    assert (source.roles.target, source.roles.weights) == ("y", "weight")
    assert [set(c.vectors) for c in source.partitions()[0].chunks(8)] == [{"y", "weight"}] * 2


def test_batches_are_asked_for_one_at_a_time() -> None:
    taken = []

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(5):
            taken.append(i)
            yield X, Y

    source = sources.open(batches())
    assert taken == [0]
    chunks = source.partitions()[0].chunks(8)
    next(chunks)
    next(chunks)
    assert taken == [0, 1]


def test_no_rows_in_batches() -> None:
    for data in ([], cut(), cut(0, 0), lambda: cut(0)):
        refused(DataError, "no rows", "(X, y)", data=data)


def test_wrong_batches() -> None:
    refused(DataError, "batch 0 is a ndarray", "(X, y)", data=[X])
    refused(DataError, "batch 1 is 4 things", data=[(X, Y), (X, Y, Y, Y)])
    refused(DataError, "batch 1 has 3 columns", "first had 4", data=[(X, Y), (X[:, :3], Y)])
    refused(DataError, "batch 1 has 3 arrays", "first had 2", data=[(X, Y), (X, Y, Y)])
    refused(DataError, "X of batch 2", "(100,)", "reshape", data=[(X, Y), (X, Y), (X[:, 0], Y)])
    refused(DataError, "y of batch 0", "99 rows", "100", data=[(X, Y[:99])])
    refused(DataError, "X of batch 0", "text", data=[(X.astype(str), Y)])
    refused(DataError, "X of batch 0", "is not an array", data=[([[1, 2], [3]], [1, 2])])


def test_function_that_does_not_start_afresh() -> None:
    iterator = cut(50, 50)
    refused(UsageError, "same iterator twice", "fresh", data=lambda: iterator)
    sizes = iter([(50, 50), (50, 50), (50, 20)])
    source = sources.open(lambda: cut(*next(sizes)))
    list(source.partitions()[0].chunks(8))
    with pytest.raises(ChangedError, match=r"100 rows in the first pass and 70"):
        list(source.partitions()[0].chunks(8))


# --- dask -----------------------------------------------------------------------------------------------------------


def test_dask_arrays_that_cannot_be_read() -> None:
    x = da.from_array(X, chunks=(30, 2))
    y = da.from_array(Y, chunks=(10,))
    refused(DataError, "not known", "compute_chunk_sizes()", data=(x[y > 0], y[y > 0]))
    refused(DataError, "'y' has 99 rows", "100", data=(x, y[:99]))
    refused(DataError, "dask array X", "(100,)", "reshape", data=y)
    refused(UsageError, "4 arrays", data=(x, y, y, y))
    refused(DataError, "complex", data=x.astype(complex))
    wrong = da.map_blocks(lambda block: block[:-1], x, dtype=float, chunks=((30, 30, 30, 10), (2, 2)))
    with pytest.raises(Exception, match=r"shape|dimension|align|broadcast"):
        list(sources.open(wrong, target="x1").partitions()[0].chunks(10))
    single = da.map_blocks(lambda block: block[:-1], x.rechunk((30, 4)), dtype=float, chunks=((30, 30, 30, 10), (4,)))
    refused(DataError, "rows 0-29", "(29, 4)", "true chunks", data=single)


def test_whether_rows_lie_in_memory(tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(6, 2)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for there in (x, x[::2], np.asfortranarray(x), (x, x[:, 0])):
        assert sources.open(there).in_memory
    for elsewhere in (mapped, np.asarray(mapped), mapped[2:], (mapped, x[:, 0]), np.broadcast_to(x[0], (6, 2))):
        assert not sources.open(elsewhere).in_memory
    with (tmp_path / "x.npy").open("rb") as file:
        raw = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert not sources.open(np.frombuffer(raw, np.uint8).reshape(-1, 2)).in_memory
    assert not sources.open(tmp_path / "x.npy").in_memory
