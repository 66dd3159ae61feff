"""What should not be there: names that are none, places that are no files, metadata that say nothing of use."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import scipy.sparse
import zarr
from storages import table
from test_source_hdf5 import rows
from test_source_open import refused

import streamreg.sources as sources
from streamreg.errors import ChangedError, CorruptError, DataError, NotFound, UsageError

X, Y = table("f8", rows=100, width=4)


def store(path: Path, zarr_format: Any = 3) -> Path:
    group = zarr.open_group(zarr.storage.LocalStore(path), mode="w", zarr_format=zarr_format)
    group.create_array("X", data=X, chunks=(10, 4))
    group.create_array("y", data=Y)
    return path


# --- the call ---------------------------------------------------------------------------------------------------------


def test_a_path_may_be_a_target(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "y.npy", Y)
    source = sources.open(tmp_path / "a.npy", target=tmp_path / "y.npy")  # type: ignore[arg-type]
    (part,) = source.partitions()
    (chunk,) = part.chunks(1024)
    np.testing.assert_array_equal(chunk.vectors[str(tmp_path / "y.npy")], Y)


@pytest.mark.parametrize("option", ["target", "weights", "x", "columns", "features"])
@pytest.mark.parametrize("suffix", ["npy", "h5"])
def test_names_that_are_none(option: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    np.save(path, X)
    refused(UsageError, f"{option}=3 is a int", data=path, **{option: 3})


def test_a_list_of_paths_is_sent_to_merge(tmp_path: Path) -> None:
    refused(DataError, "batch 0 is a PosixPath", "sr.merge(*map(sr.scan, files))", data=[tmp_path / "a.npy"])
    refused(DataError, "batch 0 is a str", "several files", data=["a.npy", "b.npy"])


@pytest.mark.parametrize("suffix", ["npy", "h5", "zarr"])
def test_places_that_are_no_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"loop.{suffix}"
    path.symlink_to(path)
    refused(NotFound, "leads nowhere", data=path)
    refused(NotFound, "File name too long", data=tmp_path / ("a" * 300 + f".{suffix}"))


@pytest.mark.parametrize("suffix", ["npy", "h5"])
def test_pipes_and_sockets(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # because the name of a socket must be short
    os.mkfifo(f"pipe.{suffix}")
    refused(DataError, "neither a file nor a folder", data=f"pipe.{suffix}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"socket.{suffix}")
        refused(DataError, "neither a file nor a folder", data=f"socket.{suffix}")


def denied(*anything: Any) -> Any:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("suffix", ["npy", "h5"])
def test_files_that_may_not_be_read(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"a.{suffix}"
    path.touch()
    monkeypatch.setattr(Path, "open", denied)
    refused(DataError, "cannot be read (Permission denied)", "permissions", data=path)
    monkeypatch.setattr(Path, "exists", denied)
    refused(NotFound, "cannot be looked for (Permission denied)", "permissions", data=path)


def test_chunks_that_may_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store(tmp_path / "a.zarr")
    monkeypatch.setattr("streamreg.sources.zarr.grid.Path.is_file", denied)
    refused(CorruptError, "array 'X'", "rows 0-9", "Permission denied", data=path)


def test_chunks_that_go_while_the_store_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = sources.open(store(tmp_path / "a.zarr"), x="X")
    monkeypatch.setattr(os, "walk", lambda folder: [(folder, [], ["gone"])])
    with pytest.raises(ChangedError, match="gone"):
        source.fingerprint()


@pytest.mark.parametrize("shape", [(-100, 4), (-100, -4), (100, -4)])
def test_a_header_that_says_nonsense(shape: tuple[int, int], tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        file.write(X.tobytes())
    refused(CorruptError, str(shape), data=tmp_path / "a.npy")


# --- names of columns -------------------------------------------------------------------------------------------------

NO_NAMES = [5, 2.5, True, "5", "null", '"abcd"', '{"a": 1}', [["a"], "b", "c", "d"], "not JSON", ""]


def hdf5_with_names(path: Path, names: Any) -> Path:
    with h5py.File(path := path / "a.h5", "w") as file:
        file["X"] = X
        file["X"].attrs["columns"] = json.dumps(names) if isinstance(names, list) else names
    return path


def zarr_with_names(path: Path, names: Any) -> Path:
    zarr.open_group(store(path := path / "a.zarr"))["X"].attrs["columns"] = names
    return path


def npy_with_names(path: Path, names: Any) -> Path:
    np.save(path := path / "a.npy", X)
    path.with_name("a.npy.json").write_text(json.dumps({"columns": names}))
    return path


@pytest.mark.parametrize("names", NO_NAMES, ids=repr)
@pytest.mark.parametrize("made", [hdf5_with_names, zarr_with_names, npy_with_names])
def test_attributes_that_hold_no_names(made: Callable[[Path, Any], Path], names: Any, tmp_path: Path) -> None:
    path = made(tmp_path, names)
    refused(DataError, str(path), "'columns'", "neither a list of names", "columns=[...]", data=path)
    assert sources.open(path, columns=list("abcd")).schema.names == tuple("abcd")


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    path = hdf5_with_names(tmp_path, np.array([b"\xff", b"b", b"c", b"d"]))
    assert sources.open(path).schema.names == ("\ufffd", "b", "c", "d")
    refused(DataError, "neither a list of names", data=hdf5_with_names(tmp_path, h5py.Empty("f8")))


# --- Zarr metadata ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_consolidated_metadata_may_be_outdated(zarr_format: int, tmp_path: Path) -> None:
    path = store(tmp_path / "a.zarr", zarr_format)
    zarr.consolidate_metadata(path)
    shutil.rmtree(path / "X")
    refused(DataError, "y (100,)", data=path)
    refused(NotFound, "no dataset 'X'; there is y", data=path, x="X")


def damage(path: Path, change: Callable[[Any], None]) -> None:
    (file,) = (f for f in (path / "X" / "zarr.json", path / "X" / ".zarray") if f.exists())
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_chunks_of_nothing(tmp_path: Path) -> None:
    damage(store(tmp_path / "2.zarr", 2), lambda m: m.update(chunks=[0, 4]))
    refused(CorruptError, "chunks of shape (0, 4)", data=tmp_path / "2.zarr")
    damage(store(tmp_path / "3.zarr"), lambda m: m["chunk_grid"]["configuration"].update(chunk_shape=[0, 4]))
    refused(CorruptError, "chunks of shape (0, 4)", data=tmp_path / "3.zarr")


@pytest.mark.parametrize("n", [10**15, 10**30])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_more_rows_than_any_disk_has(n: int, zarr_format: int, tmp_path: Path) -> None:
    path = store(tmp_path / "a.zarr", zarr_format)
    damage(path, lambda m: m.update(shape=[n, 4]))
    refused(CorruptError, "no chunk for rows 100-109", data=path)


def test_attributes_that_are_none(tmp_path: Path) -> None:
    path = store(tmp_path / "a.zarr")
    damage(path, lambda m: m.update(attributes=5))
    assert sources.open(path).schema.names == ("x0", "x1", "x2", "x3")


@pytest.mark.parametrize("name", ["a::b", "a b", "a%20b", "a?b#c", "ünï", os.fsdecode(b"\xff")])
def test_strange_names_of_stores(name: str, tmp_path: Path) -> None:
    path = store(tmp_path / f"{name}.zarr")
    np.testing.assert_array_equal(rows(sources.open(path)), X)


# --- dask blocks that are not what their array said -------------------------------------------------------------------


def lying(array: np.ndarray, work: Callable[[np.ndarray], Any]) -> Any:
    """Return a dask array whose blocks come from `work`, and which says that they are as they were."""
    blocks = da.from_array(array, chunks=(30, *array.shape[1:]))
    return blocks.map_blocks(work, dtype="f8", meta=np.empty((0,) * array.ndim))


def test_a_task_that_raises(tmp_path: Path) -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise FileNotFoundError("part 7 is gone")

    refused(DataError, "rows 0-29", "FileNotFoundError: part 7 is gone", data=(lying(X, fail), Y))


@pytest.mark.parametrize(
    ("work", "word"),
    [
        (lambda b: b + 1j, "complex128"),
        (lambda b: b.astype(object), "Python objects"),
        (lambda b: b.astype("U20"), "text"),
        (lambda b: b.astype("M8[s]"), "datetime64"),
        (lambda b: None, "Python objects"),
    ],
)
def test_blocks_that_are_not_numbers(work: Callable[[np.ndarray], Any], word: str) -> None:
    refused(DataError, "dask array X, rows 0-29", word, data=(lying(X, work), Y))
    refused(DataError, "dask array y, rows 0-29", word, data=(da.from_array(X, chunks=(30, 4)), lying(Y, work)))


def test_sparse_blocks() -> None:
    refused(DataError, "dask array X, rows 0-29", data=(lying(X, scipy.sparse.csr_array), Y))


@pytest.mark.parametrize(
    ("work", "shape"),
    [(lambda b: np.column_stack([b, b]), "(30, 2)"), (lambda b: 3.0, "()"), (lambda b: b[1:], "(29,)")],
)
def test_targets_of_another_shape(work: Callable[[np.ndarray], Any], shape: str) -> None:
    refused(DataError, "dask array y, rows 0-29", shape, data=(da.from_array(X, chunks=(30, 4)), lying(Y, work)))
