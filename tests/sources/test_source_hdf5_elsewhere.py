"""HDF5 datasets whose numbers lie in other files, or whose chunks the library lists in a strange way."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from storages import table
from test_source_hdf5 import rows, write
from test_source_open import refused

import streamreg.sources as sources
from streamreg.errors import ChangedError, CorruptError, DataError

X, _ = table("f8", rows=1000, width=4)
UNLIMITED = h5py.h5s.UNLIMITED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


def virtual(path: Path, *parts: tuple[slice, str]) -> Path:
    """Write X as a virtual dataset: which rows come from dataset `part` of which file."""
    layout = h5py.VirtualLayout((1000, 4), "f8")
    for where, name in parts:
        selected = X[where]
        write(path.with_name(name), part=selected)
        layout[where] = h5py.VirtualSource(name, "part", selected.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("X", layout)
    return path


def touch(path: Path) -> None:
    """Make it look written to."""
    os.utime(path, ns=(1, 1))


# --- numbers in files without a format --------------------------------------------------------------------------------


@pytest.fixture
def external(path: Path) -> tuple[Path, Path]:
    last = path.with_name("two.bin")
    with h5py.File(path, "w") as file:
        places = [(str(path.with_name("one.bin")), 0, 12_000), (str(last), 8, UNLIMITED)]
        file.create_dataset("X", data=X, external=places)
    return path, last


def test_external_storage(external: tuple[Path, Path]) -> None:
    path, last = external
    source = sources.open(path)
    np.testing.assert_array_equal(rows(source), X)
    before = source.fingerprint()
    touch(last)
    assert source.fingerprint() != before
    with pytest.raises(ChangedError, match=r"two\.bin"):
        rows(source)


@pytest.mark.parametrize("fill", ["error", "fill"])
def test_external_storage_cut_short(external: tuple[Path, Path], fill: Any) -> None:
    path, last = external
    with last.open("r+b") as file:
        file.truncate(100)
    refused(CorruptError, "dataset 'X'", "two.bin", "100 bytes", "20,008", data=path, missing_chunks=fill)
    last.unlink()
    refused(CorruptError, "dataset 'X'", "two.bin", "0 bytes", data=path, missing_chunks=fill)


# --- virtual datasets -------------------------------------------------------------------------------------------------


def test_change_of_a_part_is_noticed(path: Path) -> None:
    source = sources.open(virtual(path, (slice(400), "one.h5"), (slice(400, 1000), "two.h5")))
    np.testing.assert_array_equal(rows(source), X)
    before = source.fingerprint()
    touch(path.with_name("two.h5"))
    assert source.fingerprint() != before
    with pytest.raises(ChangedError, match=r"two\.h5"):
        rows(source)


def test_parts_that_overlap_hide_no_gap(path: Path) -> None:
    virtual(path, (slice(600), "one.h5"), (slice(600), "two.h5"))
    refused(CorruptError, "rows 600-999", "mapped to no other file", data=path)
    virtual(path, (slice(600), "one.h5"), (slice(500, 1000), "two.h5"))
    np.testing.assert_array_equal(rows(sources.open(path)), X)


def test_parts_in_alternate_rows(path: Path) -> None:
    virtual(path, (slice(0, 1000, 2), "one.h5"), (slice(1, 1000, 2), "two.h5"))
    np.testing.assert_array_equal(rows(sources.open(path)), X)
    virtual(path, (slice(0, 1000, 2), "one.h5"), (slice(1, 900, 2), "two.h5"))
    refused(CorruptError, "row 901 ", "mapped to no other file", data=path)


@pytest.mark.parametrize("there", [1000, 700])
def test_parts_that_may_grow(path: Path, there: int) -> None:
    layout = h5py.VirtualLayout((1000, 4), "f8", maxshape=(None, 4))
    for name, n, columns in (("one.h5", 1000, slice(0, 2)), ("two.h5", there, slice(2, 4))):
        with h5py.File(path.with_name(name), "w") as file:
            file.create_dataset("part", data=X[:n, columns], maxshape=(None, 2), chunks=(100, 2))
        part = h5py.VirtualSource(name, "part", (n, 2), maxshape=(None, 2))
        layout[0:UNLIMITED, columns] = part[0:UNLIMITED, :]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("X", layout)
    if there == 1000:
        np.testing.assert_array_equal(rows(sources.open(path)), X)
    else:
        refused(CorruptError, "rows 700-999", "columns 2-3", data=path)


def test_parts_in_numbered_files(path: Path) -> None:
    for k in range(4):
        write(path.with_name(f"part-{k}.h5"), part=X[250 * k : 250 * k + 250])
    space = h5py.h5s.create_simple((1000, 4), (UNLIMITED, 4))
    space.select_hyperslab((0, 0), (UNLIMITED, 1), (250, 4), (250, 4))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_virtual(space, b"part-%b.h5", b"part", h5py.h5s.create_simple((250, 4)))
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"X", h5py.h5t.IEEE_F64LE, space, properties)
    source = sources.open(path)
    np.testing.assert_array_equal(rows(source), X)
    touch(path.with_name("part-2.h5"))
    with pytest.raises(ChangedError, match=r"part-2\.h5"):
        rows(source)


def test_a_virtual_dataset_of_itself(path: Path) -> None:
    layout = h5py.VirtualLayout((1000, 4), "f8")
    layout[:] = h5py.VirtualSource(".", "X", (1000, 4))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("X", layout)
    refused(DataError, "refers to itself", data=path)


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hard", [True, False])
def test_a_link_called_x_says_which_matrix_is_meant(path: Path, hard: bool) -> None:
    with h5py.File(write(path, A=X + 1, B=X), "r+") as file:
        file["X"] = file["B"] if hard else h5py.SoftLink("/B")
    np.testing.assert_array_equal(rows(sources.open(path)), X)


def test_a_link_to_another_file_may_be_all_there_is(path: Path) -> None:
    write(path.with_name("b.h5"), deep=X)
    with h5py.File(path, "w") as file:
        file["X"] = h5py.ExternalLink("b.h5", "/deep")
    np.testing.assert_array_equal(rows(sources.open(path)), X)


# --- the list of chunks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"fletcher32": True}])
@pytest.mark.parametrize("limits", [(1000, None), (None, 4), (None, None), (1000, 4), (2000, 9)], ids=str)
@pytest.mark.parametrize("library", ["earliest", "latest"])
def test_datasets_that_may_grow(library: str, limits: Any, options: dict[str, Any], path: Path) -> None:
    with h5py.File(path, "w", libver=library) as file:
        file.create_dataset("X", data=X, chunks=(250, 1), maxshape=limits, **options)
    np.testing.assert_array_equal(rows(sources.open(path)), X)


@pytest.mark.parametrize("library", ["earliest", "latest"])
def test_columns_added_and_never_written(library: str, path: Path) -> None:
    with h5py.File(path, "w", libver=library) as file:
        file.create_dataset("X", data=X, chunks=(250, 4), maxshape=(1000, None)).resize((1000, 8))
    refused(CorruptError, "4 of 8 chunks", "never written", data=path)
    read = rows(sources.open(path, missing_chunks="fill"))
    np.testing.assert_array_equal(read, np.pad(X, ((0, 0), (0, 4))))


@pytest.mark.parametrize(("damaged", "words"), [(0, "rows 500-749"), (1250, "rows 500-749"), (510, "a.h5: is damaged")])
def test_chunk_whose_corner_is_damaged(damaged: int, words: str, path: Path) -> None:
    """The index of early versions of the format has no checksum: a lost chunk is not one of fill values."""
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_dataset("X", data=X, chunks=(250, 4))
    content = path.read_bytes()
    corner = np.array([500, 0, 0], "<u8").tobytes()  # of the third chunk, and its place within a number
    assert content.count(corner) == 1
    path.write_bytes(content.replace(corner, np.array([damaged, 0, 0], "<u8").tobytes()))
    refused(CorruptError, words, data=path)


def test_chunks_of_no_rows(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", (0, 4), maxshape=(None, 4))
    refused(DataError, "has no rows", data=path)
