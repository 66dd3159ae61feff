"""Zarr stores: which array is meant, what is missing, what is damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from storages import table
from test_source_open import refused

import streamreg.sources as sources
from streamreg.errors import ChangedError, CorruptError, DataError, MissingExtra, NotFound, UsageError

X, Y = table("f8", rows=1000, width=8)

KINDS: dict[str, dict[str, Any]] = {
    "2": {"zarr_format": 2},
    "2 nested": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "3": {"zarr_format": 3},
    "3 flat": {"zarr_format": 3, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    "3 uncompressed": {"zarr_format": 3, "compressors": None},
}
KEYS = {"2": "3.1", "2 nested": "3/1", "3": "c/3/1", "3 flat": "3.1", "3 uncompressed": "c/3/1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zarr"


def write(path: Path, x: np.ndarray = X, **options: Any) -> Any:
    return zarr.create_array(path, data=x, **{"chunks": (100, 4), "overwrite": True, **options})


def rows(source: sources.Source) -> np.ndarray:
    return np.concatenate([c.matrix.copy() for p in source.partitions() for c in p.chunks(64)])


@pytest.fixture(params=KINDS, ids=lambda k: k.replace(" ", "-"))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_one_array(path: Path, kind: str) -> None:
    write(path, **KINDS[kind]).attrs["columns"] = list("abcdefgh")
    source = sources.open(path, target="h")
    assert source.schema.names == tuple("abcdefgh")
    np.testing.assert_array_equal(rows(source), X)
    refused(NotFound, "no column or dataset 'y'", data=path, target="y")
    refused(NotFound, "no dataset 'X'", data=path, x="X")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_which_array(path: Path, zarr_format: Any) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    group.attrs["columns"] = list("abcdefgh")
    group.create_array("g/only", data=X, chunks=(100, 4))
    group.create_array("y", data=Y, chunks=(77,))
    source = sources.open(path, target="y", weights="a")
    assert source.schema.names == (*"abcdefgh", "y")
    np.testing.assert_array_equal(rows(source), X)
    refused(NotFound, "no dataset 'g/onli'", "did you mean 'g/only'", data=path, x="g/onli")
    refused(NotFound, "no dataset '../a.zarr/y'", data=path, x="../a.zarr/y")
    refused(NotFound, "no column or dataset 'yy'", data=path, target="yy")
    refused(DataError, "array 'y'", "reshape", data=path, x="y")
    group.create_array("h", data=X, chunks=(100, 4))
    refused(UsageError, "several matrices", "g/only (1000, 8)", data=path)
    group.create_array("X", data=X + 1, chunks=(100, 4))
    np.testing.assert_array_equal(rows(sources.open(path)), X + 1)


def test_not_a_store(path: Path) -> None:
    path.mkdir()
    refused(DataError, "a.zarr", "without Zarr metadata", data=path)
    (path / "zarr.json").write_text("{")
    refused(CorruptError, "a.zarr", "metadata", "cannot be read", data=path)
    file = path.with_name("b.zarr")
    file.write_text("")
    refused(DataError, "b.zarr", "is a file", "folder", data=file)


def test_not_numbers(path: Path) -> None:
    write(path, X.astype(complex))
    refused(DataError, "complex", "real and imaginary", data=path)
    write(path, np.zeros((0, 3)), chunks=(1, 3))
    refused(DataError, "no rows", data=path)


def test_missing_chunk(path: Path, kind: str) -> None:
    write(path, **KINDS[kind])
    (path / KEYS[kind]).unlink()
    refused(CorruptError, "rows 300-399", "columns 4-7", KEYS[kind], "missing_chunks='fill'", "fill value", data=path)
    got = rows(sources.open(path, missing_chunks="fill"))
    assert not got[300:400, 4:].any()
    np.testing.assert_array_equal(got[:, :4], X[:, :4])


def test_chunk_lost_between_open_and_read(path: Path, kind: str) -> None:
    write(path, **KINDS[kind])
    source = sources.open(path)
    before = source.fingerprint()
    (path / KEYS[kind]).unlink()
    with pytest.raises(CorruptError, match=r"rows 300-399.*columns 4-7"):
        rows(source)
    assert source.fingerprint() != before


def test_chunk_of_zeros_is_left_out_by_the_library_and_said_so(path: Path) -> None:
    x = X.copy()
    x[200:300, :4] = 0
    write(path, x)
    refused(CorruptError, "rows 200-299", "left out by default", "write_empty_chunks", data=path)
    np.testing.assert_array_equal(rows(sources.open(path, missing_chunks="fill")), x)
    write(path, x, config={"write_empty_chunks": True})
    np.testing.assert_array_equal(rows(sources.open(path)), x)


def test_chunk_missing_in_a_vector(path: Path) -> None:
    group = zarr.open_group(path, mode="w")
    group.create_array("X", data=X, chunks=(100, 8))
    group.create_array("y", data=Y, chunks=(250,))
    (path / "y" / "c" / "1").unlink()
    refused(CorruptError, "array 'y'", "rows 250-499", data=path, target="y")


@pytest.mark.parametrize("end", ["start", "end"])
def test_chunk_missing_within_a_shard(path: Path, end: str) -> None:
    x = X.copy()
    x[500:600, :4] = 0
    shards = {"shape": (400, 8), "index_location": end}
    write(path, x, shards=shards)
    refused(CorruptError, "rows 500-599", "columns 0-3", str(Path("c", "1", "0")), "missing_chunks='fill'", data=path)
    np.testing.assert_array_equal(rows(sources.open(path, missing_chunks="fill")), x)
    write(path, X, shards=shards)
    np.testing.assert_array_equal(rows(sources.open(path)), X)
    (path / "c" / "2" / "0").unlink()
    refused(CorruptError, "rows 800-999", "columns 0-7", str(Path("c", "2", "0")), data=path)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_damaged_chunk(path: Path, kind: str, cut: int) -> None:
    write(path, **KINDS[kind])
    file = path / KEYS[kind]
    file.write_bytes(file.read_bytes()[:-cut] if cut else b"")
    refused(CorruptError, "rows 300-399", "columns 4-7", "cannot be decoded", KEYS[kind], data=path)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_damaged_shard(path: Path, cut: int) -> None:
    write(path, shards=(400, 8))
    file = path / "c" / "1" / "0"
    file.write_bytes(file.read_bytes()[:-cut] if cut else b"")
    refused(CorruptError, "rows 400-799", "c/1/0", data=path)


def test_store_changed_between_open_and_read(path: Path) -> None:
    write(path)
    source = sources.open(path)
    write(path, X[:5], chunks=(5, 8))
    with pytest.raises(ChangedError, match="open it anew"):
        rows(source)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_codec_that_is_not_installed(path: Path, zarr_format: Any) -> None:
    write(path, zarr_format=zarr_format)
    metadata = path / ("zarr.json" if zarr_format == 3 else ".zarray")
    metadata.write_text(metadata.read_text().replace('"zstd"', '"unheard-of"'))
    refused(MissingExtra, "a.zarr", "unheard-of", "not installed", data=path)


def test_bands_are_of_bounded_size(path: Path) -> None:
    write(path, np.ones((20_000, 100)), chunks=(100, 100))
    lengths = {len(c) for p in sources.open(path).partitions() for c in p.chunks(100)}
    assert max(lengths) * 800 <= 2**23
    assert all(n % 100 == 0 for n in lengths)


def test_header_that_claims_more_rows_than_could_be_there_is_refused_at_once(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(10**12, 3), chunks=(1024, 3), dtype="f8")[:5] = 1.0
    with pytest.raises(CorruptError, match="no chunk for rows 1,024"):
        sources.open(tmp_path / "a.zarr")
    with pytest.raises(CorruptError, match="claims 1,000,000,000,000 rows"):
        sources.open(tmp_path / "a.zarr", missing_chunks="fill")
