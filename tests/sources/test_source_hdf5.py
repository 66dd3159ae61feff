"""HDF5 files: which dataset is meant, what is missing, what is damaged."""

import time
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from storages import table
from test_source_open import refused

import streamreg.sources as sources
from streamreg.errors import ChangedError, CorruptError, DataError, NotFound, UsageError
from streamreg.sources.stored.raw import RawStored

X, Y = table("f8", rows=1000, width=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


def write(path: Path, **datasets: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def rows(source: sources.Source) -> np.ndarray:
    return np.concatenate([c.matrix.copy() for p in source.partitions() for c in p.chunks(64)])


def test_which_matrix(path: Path) -> None:
    write(path, **{"g/only": X, "y": Y})
    assert sources.open(path, target="y").schema.names == ("x0", "x1", "x2", "x3", "y")
    write(path, X=X, other=X + 1)
    np.testing.assert_array_equal(rows(sources.open(path)), X)
    np.testing.assert_array_equal(rows(sources.open(path, x="/other")), X + 1)
    write(path, one=X, two=X)
    refused(UsageError, "several matrices", "one (1000, 4), two (1000, 4)", "x='one'", data=path)
    refused(NotFound, "no dataset 'on'", "did you mean 'one'", data=path, x="on")
    write(path, y=Y)
    refused(DataError, "no two-dimensional dataset", "y (1000,)", data=path)
    refused(DataError, "dataset 'y'", "reshape one feature", data=path, x="y")
    write(path)
    refused(DataError, "nothing", data=path)


def test_target_is_a_column_or_a_dataset(path: Path) -> None:
    write(path, **{"X": X, "g/y": Y, "g/w": Y**2, "short": Y[:7], "x1": Y})
    source = sources.open(path, target="g/y", weights="/g/w")
    assert source.schema.names == ("x0", "x1", "x2", "x3", "g/y", "/g/w")
    assert (source.roles.target, source.roles.weights) == ("g/y", "/g/w")
    assert sources.open(path, target="x1").schema.names == ("x0", "x1", "x2", "x3")
    refused(NotFound, "no column or dataset 'g/z'", "did you mean 'g/y'", data=path, target="g/z")
    refused(DataError, "'short' has 7 rows", "1,000", data=path, target="short")
    refused(DataError, "dataset 'X'", "one number per row", data=path, target="X")
    refused(UsageError, "'g/y' is the target and named once more", data=path, target="g/y", weights="g/y")
    refused(NotFound, "no column or dataset 'g'", data=path, target="g")


@pytest.mark.parametrize("names", [["a", "b", "c", "d"], '["a", "b", "c", "d"]', np.array([b"a", b"b", b"c", b"d"])])
@pytest.mark.parametrize("on_file", [True, False])
def test_names_from_the_attribute(path: Path, names: Any, on_file: bool) -> None:
    with h5py.File(path, "w") as file:
        file["X"] = X
        (file if on_file else file["X"]).attrs["columns"] = names
    assert sources.open(path, target="d").schema.names == ("a", "b", "c", "d")
    assert sources.open(path, columns="wxyz"[:0] or list("wxyz")).schema.names == ("w", "x", "y", "z")


def test_wrong_names_in_the_attribute(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"] = X
        file["X"].attrs["columns"] = ["a", "b"]
    refused(DataError, "2 column names for 4 columns", data=path)
    with h5py.File(path, "r+") as file:
        file["X"].attrs["columns"] = "a b c d"
    refused(DataError, "'columns'", "JSON", data=path)


def test_contiguous_rows_are_read_past_the_library(path: Path) -> None:
    write(path, X=X, y=Y)
    source = sources.open(path, target="y")
    assert isinstance(source._matrix, RawStored)  # type: ignore[attr-defined]
    assert isinstance(source._vectors["y"], RawStored)  # type: ignore[attr-defined]


def test_types_that_are_not_numbers(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"] = np.zeros((3, 2), [("a", "f8"), ("b", "i4")])
        file["text"] = np.full((3, 2), "a", dtype=h5py.string_dtype())
        file["fixed"] = np.full((3, 2), b"abc")
        file["complex"] = np.zeros((3, 2), complex)
        file["nothing"] = h5py.Empty("f8")
        file["none"] = np.zeros((0, 3))
    refused(DataError, "dataset 'X'", "fields a, b", data=path, x="X")
    refused(DataError, "dataset 'text'", "astype", data=path, x="text")
    refused(DataError, "dataset 'fixed'", "text", data=path, x="fixed")
    refused(DataError, "dataset 'complex'", "real and imaginary", data=path, x="complex")
    refused(DataError, "dataset 'nothing'", "empty", data=path, x="nothing")
    refused(DataError, "dataset 'none'", "no rows", data=path, x="none")


@pytest.mark.parametrize("options", [{}, {"chunks": (100, 4)}, {"chunks": (100, 4), "compression": "gzip"}])
def test_truncated_file(path: Path, options: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    refused(CorruptError, "a.h5", "not a readable HDF5 file", "copy or write it again", data=path)


def test_not_a_file_of_this_kind(path: Path) -> None:
    path.write_text("x,y\n1,2\n")
    refused(CorruptError, "a.h5", "not a readable HDF5 file", data=path)


@pytest.mark.parametrize("options", [{}, {"chunks": (10, 4)}, {"chunks": (10, 4), "fletcher32": True}])
def test_changed_between_open_and_read(path: Path, options: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, **options)
    source = sources.open(path)
    parts = source.partitions()
    path.write_bytes(path.read_bytes()[:-1000])
    for part in (*parts, *source.partitions()):
        with pytest.raises(ChangedError, match="written to since it was opened; open it anew"):
            next(part.chunks(10))


@pytest.mark.parametrize("options", [{}, {"chunks": (10, 4)}, {"chunks": (10, 4), "fletcher32": True}])
def test_changed_while_read(path: Path, options: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, **options)
    (part,) = sources.open(path).partitions()
    chunks = part.chunks(10)
    next(chunks)
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.write(b"more")
    with pytest.raises(ChangedError, match="written to"):
        list(chunks)


@pytest.mark.parametrize("options", [{"fletcher32": True}, {"compression": "gzip"}])
def test_damaged_chunk(path: Path, options: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, chunks=(100, 4), **options)
        at = file["X"].id.get_chunk_info(5).byte_offset
    content = bytearray(path.read_bytes())
    content[at + 8 : at + 40] = bytes(255 - b for b in content[at + 8 : at + 40])
    path.write_bytes(content)
    refused(CorruptError, "a.h5", "dataset 'X'", "rows ", "damaged", data=path)


def test_chunk_whose_filter_was_skipped(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("X", data=X, chunks=(100, 4), compression="gzip", shuffle=True)
        data.id.write_direct_chunk((300, 0), X[300:400].tobytes(), filter_mask=0b11)
        data.id.write_direct_chunk((500, 0), zlib.compress(X[500:600].tobytes()), filter_mask=0b01)
    np.testing.assert_array_equal(rows(sources.open(path)), X)
    with h5py.File(path, "r+") as file:
        file["X"].id.write_direct_chunk((300, 0), zlib.compress(bytes(8)), filter_mask=0b01)
    refused(CorruptError, "rows 300-399", "8 bytes where 3,200 are expected", data=path)


def test_chunks_never_written(path: Path) -> None:
    with h5py.File(path, "w") as file:
        partial = file.create_dataset("X", (1000, 4), "f8", chunks=(100, 2), fillvalue=7)
        partial[:300] = X[:300]
        partial[300:400, 2:] = X[300:400, 2:]
    refused(CorruptError, "13 of 20 chunks", "rows 300-399", "columns 0-1", "missing_chunks='fill'", data=path)
    got = rows(sources.open(path, missing_chunks="fill"))
    np.testing.assert_array_equal(got[:300], X[:300])
    assert (got[400:] == 7).all()


def test_contiguous_rows_never_written(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", (1000, 4), "f8")
    refused(CorruptError, "dataset 'X'", "rows 0-999", "never written", "missing_chunks='fill'", data=path)
    assert not rows(sources.open(path, missing_chunks="fill")).any()


def test_virtual_dataset_with_parts_missing(path: Path) -> None:
    part = write(path.with_name("part.h5"), part=X[:500])
    layout = h5py.VirtualLayout((1000, 4), "f8")
    layout[:500] = h5py.VirtualSource("part.h5", "part", (500, 4))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("X", layout)
    refused(CorruptError, "dataset 'X'", "rows 500-999", "mapped to no", data=path)
    layout[500:] = h5py.VirtualSource("part.h5", "part", (500, 4))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("X", layout)
    np.testing.assert_array_equal(rows(sources.open(path)), np.concatenate([X[:500]] * 2))
    write(part, other=X)
    refused(CorruptError, "dataset 'part' of part.h5", data=path)
    part.unlink()
    refused(CorruptError, "dataset 'part' of part.h5", data=path)
    assert not rows(sources.open(path, missing_chunks="fill")).any()


def test_dangling_link(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"] = h5py.ExternalLink("gone.h5", "/X")
    refused(CorruptError, "dataset 'X'", "links to a file that is not there", data=path, x="X")


def test_chunk_cache_and_bands(path: Path) -> None:
    wide = np.zeros((2_000, 600))
    with h5py.File(path, "w") as file:
        file.create_dataset("plain", data=wide, chunks=(2_000, 600))
        file.create_dataset("packed", data=wide, chunks=(2_000, 600), compression="gzip")
        file.create_dataset("small", data=wide, chunks=(10, 600), compression="gzip")

    def lengths(name: str) -> set[int]:
        return {len(c) for p in sources.open(path, x=name).partitions() for c in p.chunks(100)}

    assert lengths("packed") == {2_000}
    assert max(lengths("plain")) <= 300
    assert max(lengths("small")) <= 300
    assert all(n % 10 == 0 for n in lengths("small"))


@pytest.mark.parametrize("chunks", [(1024, 3), None])
def test_header_that_claims_more_rows_than_could_be_there_is_refused_at_once(path: Path, chunks: Any) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("X", (10**12, 3), "f8", chunks=chunks)
        if chunks:
            dataset[:5] = 1.0
    began = time.perf_counter()
    with pytest.raises(CorruptError, match="never written"):
        sources.open(path)
    with pytest.raises(CorruptError, match="claims 1,000,000,000,000 rows"):
        sources.open(path, missing_chunks="fill")
    assert time.perf_counter() - began < 2.0
