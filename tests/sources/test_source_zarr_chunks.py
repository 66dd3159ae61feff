"""Zarr chunks read past the library: the same bits, and the same refusals."""

import gzip
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from storages import DTYPES, table
from test_source_open import refused
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.codecs.numcodecs import BZ2, LZ4, Zlib, Zstd

import streamreg.sources as sources
from streamreg.errors import ChangedError, CorruptError
from streamreg.sources.zarr.chunks import ChunkStored
from streamreg.sources.zarr.open import LibraryStored

N, P = 1000, 11
CHUNKS = [(25, 11), (32, 11), (18, 4), (249, 1), (250, 11), (500, 30), (1, 11), (83, 7)]  # of 250 rows of 11 columns
V2: dict[str, dict[str, Any]] = {
    "plain": {"compressors": None},
    "zstd": {"compressors": numcodecs.Zstd()},
    "zstd checksum": {"compressors": numcodecs.Zstd(checksum=True)},
    "blosc": {"compressors": numcodecs.Blosc()},
    "blosc bitshuffle zstd": {"compressors": numcodecs.Blosc("zstd", shuffle=2)},
    "zlib": {"compressors": numcodecs.Zlib()},
    "gzip": {"compressors": numcodecs.GZip()},
    "lz4": {"compressors": numcodecs.LZ4()},
    "bz2": {"compressors": numcodecs.BZ2()},
    "shuffle filter": {"compressors": numcodecs.Zstd(), "filters": [numcodecs.Shuffle(4)]},
    "filter alone": {"compressors": None, "filters": [numcodecs.Shuffle(2)]},
    "nested keys": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "Fortran order": {"order": "F"},
    "Fortran order plain": {"order": "F", "compressors": None},
}
V3: dict[str, dict[str, Any]] = {
    "plain": {"compressors": None},
    "zstd": {"compressors": ZstdCodec()},
    "zstd checksum": {"compressors": ZstdCodec(checksum=True)},
    "gzip": {"compressors": GzipCodec()},
    "blosc": {"compressors": BloscCodec(cname="lz4", shuffle="shuffle")},
    "blosc bitshuffle": {"compressors": BloscCodec(cname="zstd", shuffle="bitshuffle")},
    "crc32c": {"compressors": Crc32cCodec()},
    "zstd crc32c": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "two codecs": {"compressors": [GzipCodec(), ZstdCodec()]},
    "big-endian": {"serializer": BytesCodec(endian="big")},
    "big-endian plain": {"serializer": BytesCodec(endian="big"), "compressors": None},
    "flat keys": {"chunk_key_encoding": {"name": "default", "separator": "."}},
}
KINDS = [*((2, name, o) for name, o in V2.items()), *((3, name, o) for name, o in V3.items())]


def sharded(codecs: list[Any], index_codecs: list[Any]) -> dict[str, Any]:
    codec = ShardingCodec(chunk_shape=(100, 4), codecs=codecs, index_codecs=index_codecs)
    return {"chunks": (400, 8), "serializer": codec, "compressors": None}


STRANGE: dict[str, dict[str, Any]] = {
    "transposed": {"filters": TransposeCodec(order=(1, 0))},
    "index big-endian": sharded([BytesCodec()], [BytesCodec(endian="big"), Crc32cCodec()]),
    "shards in shards": sharded(
        [ShardingCodec(chunk_shape=(50, 2), codecs=[BytesCodec()])], [BytesCodec(), Crc32cCodec()]
    ),
    "shards compressed": sharded([BytesCodec()], [BytesCodec()]) | {"compressors": GzipCodec()},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zarr"


def write(path: Path, x: np.ndarray, zarr_format: Any = 3, **options: Any) -> Any:
    """Write `x`, every chunk of it."""
    if "serializer" in options and x.dtype.itemsize == 1:
        del options["serializer"]
    given = {"chunks": (100, 4), "config": {"write_empty_chunks": True}, "overwrite": True, **options}
    return zarr.create_array(path, data=x, zarr_format=zarr_format, **given)


def matrix(source: sources.Source, kind: type = ChunkStored) -> Any:
    found = source._matrix  # type: ignore[attr-defined]
    assert isinstance(found, kind)
    return found


def rows(source: sources.Source) -> np.ndarray:
    return np.concatenate([c.matrix.copy() for p in source.partitions() for c in p.chunks(64)])


def same_as_library(path: Path, kind: type = ChunkStored) -> np.ndarray:
    source = sources.open(path)
    matrix(source, kind)
    got, expected = rows(source), np.asarray(zarr.open(path, mode="r")[:])
    assert got.dtype == expected.dtype.newbyteorder("=")
    assert got.tobytes() == expected.astype(got.dtype).tobytes()
    return got


BY_KIND = pytest.mark.parametrize(
    ("version", "name", "options"), KINDS, ids=[f"{v}-{n}".replace(" ", "-") for v, n, _ in KINDS]
)


@BY_KIND
def test_the_same_bits_as_the_library(version: int, name: str, options: dict[str, Any], path: Path) -> None:
    for chunks in CHUNKS:
        x, _ = table("f8", 250 if chunks[0] > 1 else 40, P)
        write(path, x, version, chunks=chunks, **options)
        np.testing.assert_array_equal(same_as_library(path), x, err_msg=str(chunks))


@BY_KIND
def test_every_type_and_byte_order(version: int, name: str, options: dict[str, Any], path: Path) -> None:
    # Each type meets both orders of its bytes, in every other kind of store.
    for number, dtype in enumerate(DTYPES, start=[n for _, n, _ in KINDS].index(name)):
        if "filter" in name and np.dtype(dtype).itemsize != 4:
            continue  # the filter is for numbers of four bytes
        x, _ = table(dtype, 200, 5)
        write(path, x.astype(x.dtype.newbyteorder("<>"[number % 2])), version, chunks=(90, 3), **options)
        np.testing.assert_array_equal(same_as_library(path), x, err_msg=dtype)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
@pytest.mark.parametrize("codec", [Zlib, LZ4, Zstd, BZ2])
def test_codecs_outside_the_specification(codec: Any, path: Path) -> None:
    x, _ = table("f8", N, P)
    write(path, x, compressors=codec())
    np.testing.assert_array_equal(same_as_library(path), x)


@pytest.mark.parametrize("end", ["start", "end"])
@pytest.mark.parametrize("shards", [(200, 12), (400, 8), (1200, 12), (100, 4)], ids=str)
@pytest.mark.parametrize("name", ["plain", "zstd", "crc32c", "big-endian", "flat keys"])
def test_shards(name: str, shards: tuple[int, int], end: str, path: Path) -> None:
    x, _ = table("f4", N, P)
    write(path, x, shards={"shape": shards, "index_location": end}, **V3[name])
    np.testing.assert_array_equal(same_as_library(path), x)


def test_shard_whose_index_has_no_checksum(path: Path) -> None:
    x, _ = table("f8", N, P)
    write(path, x, **sharded([BytesCodec(), ZstdCodec()], [BytesCodec()]))
    np.testing.assert_array_equal(same_as_library(path), x)


@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
@pytest.mark.parametrize("name", STRANGE)
def test_what_is_stored_in_an_unusual_way_is_left_to_the_library(name: str, path: Path) -> None:
    x, _ = table("f8", N, P)
    write(path, x, **STRANGE[name])
    np.testing.assert_array_equal(same_as_library(path, LibraryStored), x)


@pytest.mark.parametrize("chunks", [(7000, 40), (5000, 40), (20_000, 40)], ids=str)
@pytest.mark.parametrize("options", [V2["plain"] | {"zarr_format": 2}, V3["plain"], V3["big-endian plain"]])
def test_large_uncompressed_chunks_are_not_read_as_a_whole(
    options: dict[str, Any], chunks: tuple[int, int], path: Path
) -> None:
    x, _ = table("f8", 15_000, 40)
    write(path, x, chunks=chunks, **options)
    assert matrix(sources.open(path)).chunk_rows == 1
    np.testing.assert_array_equal(same_as_library(path), x)
    assert max(len(c) for p in sources.open(path).partitions() for c in p.chunks(1000)) <= 4000


def test_rows_that_begin_and_end_within_a_chunk(path: Path) -> None:
    x, _ = table("f8", N, P)
    for chunks, shards in (((100, 4), None), ((100, 11), None), ((50, 4), (200, 8))):
        write(path, x, chunks=chunks, shards=shards)
        with matrix(sources.open(path)).reader() as read:
            for a, b in itertools.combinations([0, 1, 99, 100, 101, 550, 999, 1000], 2):
                np.testing.assert_array_equal(read(a, b), x[a:b])


@pytest.mark.parametrize("fill", [None, 0, 7])
@pytest.mark.parametrize("version", [2, 3])
def test_fill_value(version: int, fill: int | None, path: Path) -> None:
    x, _ = table(">f8" if version == 2 else "f8", N, P)
    write(path, x, version, fill_value=fill)
    (path / ("3.1" if version == 2 else "c/3/1")).unlink()
    source = sources.open(path, missing_chunks="fill")
    matrix(source)
    np.testing.assert_array_equal(rows(source), zarr.open(path, mode="r")[:])
    assert (rows(source)[300:400, 4:8] == (fill or 0)).all()


def test_arrays_pickle_small_and_read_the_same(path: Path) -> None:
    x, _ = table("f8", N, P)
    for options in ({}, {"zarr_format": 2}, {"shards": (200, 8)}):
        write(path, x, **options)
        stored = matrix(sources.open(path))
        with stored.reader() as read:
            read(0, N)
            text = pickle.dumps(stored)
        assert len(text) < 2000
        with pickle.loads(text).reader() as read:
            np.testing.assert_array_equal(read(0, N), x)


# ---- what is damaged -------------------------------------------------------------------------------------------------


@BY_KIND
def test_truncated_chunk(version: int, name: str, options: dict[str, Any], path: Path) -> None:
    write(path, table("f8", N, P)[0], version, **options)
    (file,) = (f for f in path.rglob("*") if f.relative_to(path).as_posix() in ("3.1", "3/1", "c/3/1", "c.3.1"))
    whole = file.read_bytes()
    for cut in (1, 10, 100, 10_000):
        file.write_bytes(whole[:-cut])
        refused(CorruptError, "rows 300-399", "columns 4-7", "cannot be decoded", str(file), data=path)


@pytest.mark.parametrize("rows_there", [99, 101, 1, 0])
@pytest.mark.parametrize("name", ["plain", "zstd", "gzip", "blosc", "zstd crc32c", "two codecs"])
def test_chunk_of_another_length(name: str, rows_there: int, path: Path) -> None:
    """A whole and sound chunk, of the wrong size: what is left in a buffer must not pass for it."""
    x, _ = table("f8", N, P)
    write(path, x, chunks=(100, 11), **V3[name])
    other = path.with_name("b.zarr")
    write(other, np.ones((max(1, rows_there), 11)), chunks=(max(1, rows_there), 11), **V3[name])
    content = (other / "c" / "0" / "0").read_bytes()
    (path / "c" / "5" / "0").write_bytes(content if rows_there else b"")
    refused(CorruptError, "rows 500-599", "cannot be decoded", str(Path("c", "5", "0")), data=path)


def test_zstd_that_does_not_say_its_length(path: Path) -> None:
    x, _ = table("f8", N, P)
    write(path, x, chunks=(100, 11))
    raw = x[:100].tobytes()
    blocks = [raw[i : i + 2000] for i in range(0, len(raw), 2000)]
    frame = bytes.fromhex("28b52ffd") + bytes([0x00, 0x40])  # neither a size nor a checksum, and a window of 256 kB
    for i, block in enumerate(blocks):
        frame += (len(block) << 3 | (i == len(blocks) - 1)).to_bytes(3, "little") + block
    (path / "c" / "0" / "0").write_bytes(frame)
    np.testing.assert_array_equal(same_as_library(path), x)


def test_gzip_in_several_members(path: Path) -> None:
    x, _ = table("f8", N, P)
    write(path, x, chunks=(100, 11), compressors=GzipCodec())
    raw = x[:100].tobytes()
    file = path / "c" / "0" / "0"
    file.write_bytes(gzip.compress(raw[:3000]) + gzip.compress(raw[3000:]))
    np.testing.assert_array_equal(same_as_library(path), x)
    file.write_bytes(gzip.compress(raw) + gzip.compress(raw))
    refused(CorruptError, "rows 0-99", "17,600 bytes where 8,800 are expected", data=path)


def test_checksum(path: Path) -> None:
    x, _ = table("f8", N, P)
    for options in (V3["crc32c"], V3["zstd checksum"], V3["gzip"]):
        write(path, x, chunks=(100, 11), **options)
        file = path / "c" / "2" / "0"
        content = bytearray(file.read_bytes())
        content[-100] ^= 1
        file.write_bytes(content)
        refused(CorruptError, "rows 200-299", "cannot be decoded", data=path)


@pytest.mark.parametrize("end", ["start", "end"])
def test_index_of_a_shard_is_checked(end: str, path: Path) -> None:
    write(path, table("f8", N, P)[0], shards={"shape": (400, 8), "index_location": end})
    file = path / "c" / "1" / "0"
    content = bytearray(file.read_bytes())
    content[3 if end == "start" else -10] ^= 1
    file.write_bytes(content)
    refused(CorruptError, "rows 400-799", "cannot be decoded", str(Path("c", "1", "0")), data=path)


def test_index_of_a_shard_that_leads_nowhere(path: Path) -> None:
    write(path, table("f8", N, P)[0], **sharded([BytesCodec()], [BytesCodec()]))
    file = path / "c" / "1" / "0"
    content = bytearray(file.read_bytes())
    content[-128:-120] = (2**40).to_bytes(8, "little")
    file.write_bytes(content)
    refused(CorruptError, "rows 400-499", "columns 0-3", "cannot be decoded", data=path)


def test_chunk_lost_from_a_shard_between_open_and_read(path: Path) -> None:
    x, _ = table("f8", N, P)
    y = x.copy()
    y[500:600, :4] = 0
    write(path, x, shards=(400, 8))
    source = sources.open(path)
    other = path.with_name("b.zarr")
    write(other, y, shards=(400, 8), config={"write_empty_chunks": False})
    file = path / "c" / "1" / "0"
    file.write_bytes((other / "c" / "1" / "0").read_bytes())
    with pytest.raises(CorruptError, match=r"no chunk for rows 500-599.*columns 0-3"):
        rows(source)
    file.unlink()
    with pytest.raises(CorruptError, match=r"no chunk for rows 400-499"):
        rows(source)


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_written_to_since_the_store_was_opened(version: int, path: Path) -> None:
    write(path, table("f8", N, P)[0], version)
    source = sources.open(path)
    file = path / (".zarray" if version == 2 else "zarr.json")
    file.write_text(json.dumps(json.loads(file.read_text()), indent=1))
    with pytest.raises(ChangedError, match="open it anew"):
        rows(source)
    file.unlink()
    with pytest.raises(ChangedError, match="open it anew"):
        rows(source)
