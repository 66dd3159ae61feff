"""HDF5 filters undone past the library: the same bits, whatever was applied, and damage is seen."""

import ctypes
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import Fletcher32
from storages import DTYPES, table
from test_source_open import refused

import streamreg.sources as sources
from streamreg.errors import CorruptError, MissingExtra
from streamreg.sources.hdf5.chunks import ChunksStored
from streamreg.sources.hdf5.filters import undo
from streamreg.sources.hdf5.open import Hdf5Stored
from streamreg.sources.stored.buffers import Pool

COMPRESSIONS: dict[str, Any] = {
    "none": {},
    "gzip": {"compression": "gzip"},
    "blosc": hdf5plugin.Blosc(),
    "blosc bitshuffle zstd": hdf5plugin.Blosc("zstd", shuffle=2),
    "blosc lz4hc": hdf5plugin.Blosc("lz4hc", shuffle=0),
    "blosc zlib": hdf5plugin.Blosc("zlib"),
    "lz4": hdf5plugin.LZ4(),
    "lz4 in small blocks": hdf5plugin.LZ4(nbytes=200),
    "zstd": hdf5plugin.Zstd(),
    "bitshuffle lz4": hdf5plugin.Bitshuffle(),
    "bitshuffle lz4 in small blocks": hdf5plugin.Bitshuffle(nelems=16),
    "bitshuffle zstd": hdf5plugin.Bitshuffle(cname="zstd"),
}
OURS = sorted(COMPRESSIONS)
THEIRS: dict[str, Any] = {
    "lzf": {"compression": "lzf"},
    "szip": {"compression": "szip"},
    "scale-offset": {"scaleoffset": 3},
    "blosc2": hdf5plugin.Blosc2(),
    "bitshuffle alone": hdf5plugin.Bitshuffle(cname="none"),
    "zfp": hdf5plugin.Zfp(reversible=True),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


def write(path: Path, x: np.ndarray, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=x, **options)


def matrix(path: Path, **options: Any) -> Any:
    return sources.open(path, **options)._matrix  # type: ignore[attr-defined]


def rows(path: Path) -> np.ndarray:
    return np.concatenate([c.matrix.copy() for p in sources.open(path).partitions() for c in p.chunks(64)])


def same_as_library(path: Path) -> np.ndarray:
    got = rows(path)
    with h5py.File(path, "r") as file:
        expected = file["X"][:]
    assert got.dtype == expected.dtype.newbyteorder("=")
    assert got.tobytes() == expected.astype(got.dtype).tobytes()
    return got


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OURS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_same_bits_as_the_library(
    name: str, dtype: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    n, p = data.draw(st.integers(1, 300), "rows"), data.draw(st.integers(1, 9), "columns")
    chunks = data.draw(st.integers(1, n), "chunk rows"), data.draw(st.integers(1, p), "chunk columns")
    order, constant = data.draw(st.sampled_from("<>"), "byte order"), data.draw(st.booleans(), "constant")
    x = np.ones((n, p), dtype) if constant else table(dtype, n, p)[0]
    shuffle, checksum = data.draw(st.booleans(), "shuffle"), data.draw(st.booleans(), "fletcher32")
    path = tmp_path_factory.mktemp("filters") / "a.h5"
    stored = x.astype(x.dtype.newbyteorder(order))
    write(path, stored, chunks=chunks, shuffle=shuffle, fletcher32=checksum, **COMPRESSIONS[name])
    np.testing.assert_array_equal(same_as_library(path), x)


@pytest.mark.parametrize("cname", ["lz4", "zstd"])
@pytest.mark.parametrize("dtype", ["f8", "i2", "i1"])
def test_shuffled_bits_that_do_not_compress(dtype: str, cname: str, path: Path) -> None:
    """Blocks that are longer than before they were compressed, or exactly as long."""
    rng = np.random.default_rng(0)
    for share in np.linspace(0, 1, 41):
        x = rng.integers(0, 256, (64, 9 * np.dtype(dtype).itemsize), dtype=np.uint8)
        x[:, rng.random(x.shape[1]) > share] = 0
        write(path, x.view(dtype), chunks=(64, 9), **hdf5plugin.Bitshuffle(nelems=64, cname=cname))
        same_as_library(path)


@pytest.mark.parametrize("name", OURS)
def test_what_is_read_past_the_library(name: str, path: Path) -> None:
    x, _ = table("f4", 1000, 6)
    for shuffle, checksum in itertools.product((False, True), (False, True)):
        write(path, x, chunks=(100, 6), shuffle=shuffle, fletcher32=checksum, **COMPRESSIONS[name])
        assert isinstance(matrix(path), ChunksStored)
        np.testing.assert_array_equal(same_as_library(path), x)


@pytest.mark.parametrize("name", THEIRS)
def test_what_is_left_to_the_library(name: str, path: Path) -> None:
    x, _ = table("f8", 1000, 6)
    if name == "szip" and not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        return
    for checksum in (False, True)[: 1 if name == "scale-offset" else 2]:  # which refuses one
        write(path, x, chunks=(100, 6), fletcher32=checksum, **THEIRS[name])
        assert isinstance(matrix(path), Hdf5Stored)
        np.testing.assert_allclose(same_as_library(path), x, atol=0.01)


def test_numbers_of_a_few_bits_are_left_to_the_library(path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 2**20, (1000, 6), dtype="u4")
    kind = h5py.h5t.NATIVE_UINT32.copy()
    kind.set_precision(20)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((100, 6))
    properties.set_filter(h5py.h5z.FILTER_NBIT)
    with h5py.File(path, "w") as file:
        h5py.Dataset(h5py.h5d.create(file.id, b"X", kind, h5py.h5s.create_simple(x.shape), properties))[...] = x
    assert isinstance(matrix(path), Hdf5Stored)
    np.testing.assert_array_equal(same_as_library(path), x)


@pytest.mark.parametrize("applied", list(itertools.permutations(["shuffle", "deflate", "fletcher32"])), ids="-".join)
def test_any_order_of_filters(applied: tuple[str, ...], path: Path) -> None:
    x, _ = table("f8", 250, 6)
    for names in (applied, applied[:2], applied * 2):
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((100, 4))
        for name in names:
            getattr(properties, f"set_{name}")(*[4] * (name == "deflate"))
        with h5py.File(path, "w") as file:
            space = h5py.h5s.create_simple(x.shape)
            h5py.Dataset(h5py.h5d.create(file.id, b"X", h5py.h5t.NATIVE_DOUBLE, space, properties))[...] = x
        np.testing.assert_array_equal(same_as_library(path), x)


@pytest.mark.parametrize("name", ["shuffle", "deflate", "fletcher32"])
@pytest.mark.parametrize("shape", [(250, 6), (200, 7), (200, 8)])
def test_chunks_at_the_edge_may_be_stored_unfiltered(shape: tuple[int, int], name: str, path: Path) -> None:
    """An option of the format that leaves no mark on the chunks; h5py reads such files and does not write them."""
    x, _ = table("f8", *shape)
    with h5py.File(path, "w", libver="latest") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((100, 4))
        getattr(properties, f"set_{name}")(*[4] * (name == "deflate"))
        unfiltered_edges(properties)
        space = h5py.h5s.create_simple(x.shape)
        h5py.Dataset(h5py.h5d.create(file.id, b"X", h5py.h5t.NATIVE_DOUBLE, space, properties))[...] = x
    np.testing.assert_array_equal(same_as_library(path), x)


def unfiltered_edges(properties: Any) -> None:
    """Set the option through the library that h5py brings, where it can be found."""
    found = [
        *Path(h5py.__file__).parent.glob("../h5py.libs/libhdf5-*"),
        *Path(h5py.__file__).parent.glob(".dylibs/libhdf5.*"),
    ]
    if not found:
        pytest.skip("h5py's own HDF5 library is not there to be called")
    assert ctypes.CDLL(str(found[0])).H5Pset_chunk_opts(ctypes.c_int64(properties.id), ctypes.c_uint(2)) == 0


@pytest.mark.parametrize("name", ["blosc", "lz4", "zstd", "bitshuffle lz4"])
def test_no_plug_in_is_needed(name: str, path: Path) -> None:
    x, _ = table("f8", 300, 5)
    write(path, x, chunks=(100, 5), fletcher32=True, **COMPRESSIONS[name])
    code = f"""
import sys
sys.modules["hdf5plugin"] = None
import h5py, numpy as np, streamreg.sources as sources
chunks = [c.matrix.copy() for p in sources.open({str(path)!r}).partitions() for c in p.chunks(64)]
print(np.concatenate(chunks).sum(), h5py.h5z.filter_avail({COMPRESSIONS[name].filter_id}))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(x.sum()), "False"]


@pytest.mark.parametrize(("name", "loaded"), [("zstd", "False"), ("blosc2", "True"), ("virtual", "True")])
def test_the_plug_in_is_loaded_when_it_is_needed(name: str, loaded: str, path: Path) -> None:
    x = np.arange(1500.0).reshape(300, 5)
    if name == "virtual":
        write(path.with_name("part.h5"), x, chunks=(300, 5), **THEIRS["blosc2"])
        layout = h5py.VirtualLayout(x.shape, x.dtype)
        layout[:] = h5py.VirtualSource("part.h5", "X", x.shape)
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("X", layout)
    else:
        write(path, x, chunks=(300, 5), **(COMPRESSIONS | THEIRS)[name])
    code = f"""
import sys, streamreg.sources as sources
print("hdf5plugin" in sys.modules)
print(sum(c.matrix.sum() for p in sources.open({str(path)!r}).partitions() for c in p.chunks(64)))
print("hdf5plugin" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", str(x.sum()), loaded]


def test_filter_that_is_not_installed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, table("f8")[0], chunks=(100, 4), compression="lzf")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
    refused(MissingExtra, "dataset 'X'", "filter 32000 (lzf)", "hdf5plugin does not", data=path)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    refused(MissingExtra, "dataset 'X'", "filter 32000 (lzf)", "pip install hdf5plugin", data=path)


# ---- what is damaged -------------------------------------------------------------------------------------------------


def damaged(content: bytes, at: int, size: int, rng: np.random.Generator) -> bytes:
    """Return the file with the chunk at that place changed: a bit, a byte of its head, a stretch, its end, or all."""
    chunk, kind = bytearray(content[at : at + size]), rng.integers(5)
    i = int(rng.integers(size))
    if kind == 0:
        chunk[i] ^= 1 << rng.integers(8)
    elif kind == 1:
        chunk[rng.integers(min(32, size))] ^= rng.integers(1, 256)
    elif kind == 2:
        chunk[i : i + 40] = rng.bytes(len(chunk[i : i + 40]))
    elif kind == 3:
        chunk[i:] = bytes(255 - b for b in chunk[i:])
    else:
        chunk[:] = rng.bytes(size)
    return content[:at] + bytes(chunk) + content[at + size :]


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("name", OURS)
def test_damage_is_an_error_or_what_the_library_makes_of_it(name: str, checksum: bool, path: Path) -> None:
    """Without a checksum some damage cannot be seen; with one, all that happens here is."""
    rng = np.random.default_rng(len(name))
    x = rng.integers(0, 50, (500, 9)) / 7
    write(path, x, chunks=(100, 9), fletcher32=checksum, **COMPRESSIONS[name])
    with h5py.File(path) as file:
        chunks = [file["X"].id.get_chunk_info(i) for i in range(5)]
    whole = path.read_bytes()
    for _ in range(60):
        chunk = chunks[rng.integers(5)]
        path.write_bytes(damaged(whole, chunk.byte_offset, chunk.size, rng))
        message = ""
        try:
            got = rows(path)
        except CorruptError as error:
            message = str(error)
        first = chunk.chunk_offset[0]
        if message:
            assert f"a.h5: dataset 'X': the chunk of rows {first}-{first + 99} " in message
        else:
            assert not checksum or path.read_bytes() == whole
            with h5py.File(path) as file:  # not asked about damage seen here, of which some plug-ins crash
                assert got.tobytes() == file["X"][:].tobytes()


@pytest.mark.parametrize("name", sorted(set(OURS) - {"none"}))
def test_chunk_cut_short(name: str, path: Path) -> None:
    x, _ = table("f8", 500, 9)
    for keep in (1, 4, 13, 100):
        write(path, x, chunks=(100, 9), **COMPRESSIONS[name])
        with h5py.File(path, "r+") as file:
            _, content = file["X"].id.read_direct_chunk((200, 0))
            file["X"].id.write_direct_chunk((200, 0), content[:keep])
        refused(CorruptError, "dataset 'X'", "rows 200-299", "copy or write it again", data=path)


def test_chunk_of_another_length(path: Path) -> None:
    """A whole and sound chunk, of the wrong size: what is left in a buffer must not pass for it."""
    x, _ = table("f8", 500, 9)
    other = path.with_name("b.h5")
    for name, length in itertools.product(set(OURS) - {"none"}, (50, 99, 101, 300)):
        write(path, x, chunks=(100, 9), **COMPRESSIONS[name])
        write(other, np.ones((length, 9)), chunks=(length, 9), **COMPRESSIONS[name])
        with h5py.File(path, "r+") as file, h5py.File(other) as wrong:
            file["X"].id.write_direct_chunk((200, 0), wrong["X"].id.read_direct_chunk((0, 0))[1])
        refused(CorruptError, "rows 200-299", "expected", data=path)


@pytest.mark.parametrize("size", [1, 2, 3, 2047, 2048, 2049, 4096, 100_001])
@pytest.mark.parametrize("pattern", [b"\0", b"\xff", b"\1", b"\0\xff\7", b"random"])
def test_checksum(pattern: bytes, size: int) -> None:
    data = (np.random.default_rng(0).bytes(size) if pattern == b"random" else pattern * size)[:size]
    raw = np.frombuffer(bytes(Fletcher32().encode(np.frombuffer(data, np.uint8))), np.uint8).copy()
    assert bytes(undo(("fletcher32",), raw, np.empty(size, np.uint8), 1, Pool())) == data
    raw[size // 2] ^= 4
    with pytest.raises(ValueError, match="fletcher32 checksum does not match"):
        undo(("fletcher32",), raw, np.empty(size, np.uint8), 1, Pool())


def test_checksum_in_the_order_of_early_versions(path: Path) -> None:
    x, _ = table("f8", 500, 9)
    write(path, x, chunks=(100, 9), fletcher32=True)
    with h5py.File(path, "r+") as file:
        content = bytearray(bytes(Fletcher32().encode(x[200:300])))
        content[-4:] = content[-3], content[-4], content[-1], content[-2]
        file["X"].id.write_direct_chunk((200, 0), bytes(content))
    np.testing.assert_array_equal(same_as_library(path), x)


def test_checksum_that_was_skipped(path: Path) -> None:
    x, _ = table("f8", 500, 9)
    write(path, x, chunks=(100, 9), fletcher32=True, compression="gzip", shuffle=True)
    with h5py.File(path, "r+") as file:
        file["X"].id.write_direct_chunk((200, 0), x[200:300].tobytes(), filter_mask=0b111)
        file["X"].id.write_direct_chunk((300, 0), bytes(Fletcher32().encode(x[300:400])), filter_mask=0b011)
    np.testing.assert_array_equal(same_as_library(path), x)
