"""Buffers: lent to one at a time, and filled whole or not at all."""

import gc
import pickle
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import streamreg.sources as sources
from streamreg.sources.stored.buffers import Pool
from streamreg.sources.stored.codecs import inflate


def address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def test_a_buffer_is_lent_again_when_nothing_looks_into_it() -> None:
    with Pool() as pool:
        first = pool.take(1000)
        view, where = first.view("f8").reshape(5, 25)[1:3], address(first)
        del first
        assert address(pool.take(1000)) != where
        del view
        gc.collect()
        assert pool.take(1001).shape == (1001,)
        assert where in {address(pool.take(1000)) for _ in range(2)}


def test_buffers_are_dropped_with_the_last_reader() -> None:
    pool = Pool()
    with pool:
        with pool:
            kept = pool.take(10)
            pool.take(20)
        assert any(pool._free.values())
    assert not any(pool._free.values())
    del kept
    gc.collect()
    assert not any(pool._free.values())


def test_a_pool_is_pickled_empty() -> None:
    with Pool() as pool:
        pool.take(10**6)
        assert len(pickle.dumps(pool)) < 200
        assert pickle.loads(pickle.dumps(pool)).take(3).shape == (3,)


@pytest.mark.parametrize("size", [0, 1, 1000, 10**6])
@pytest.mark.parametrize("compressible", [True, False])
def test_inflate(size: int, compressible: bool) -> None:
    rng = np.random.default_rng(size)
    data = np.zeros(size, np.uint8) if compressible else rng.integers(0, 256, size, dtype=np.uint8)
    raw = np.frombuffer(zlib.compress(data), np.uint8)
    out = np.empty(size, np.uint8)
    assert inflate(raw, out) == 0
    np.testing.assert_array_equal(out, data)
    assert inflate(np.append(raw, raw[:7]), out) == 7
    with pytest.raises(ValueError, match="expected"):
        inflate(raw, np.empty(size + 1, np.uint8))
    if size:
        with pytest.raises(ValueError, match="more than"):
            inflate(raw, np.empty(size - 1, np.uint8))
    for cut in (1, 4, len(raw)):
        with pytest.raises(ValueError, match="an end that is missing"):
            inflate(raw[:-cut], out)
    with pytest.raises(ValueError, match="checksum"):
        inflate(np.append(raw[:-1], raw[-1] ^ 1).astype(np.uint8), out)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True}])
@pytest.mark.parametrize("chunks", [(7000, 40), (7000, 13), (15_000, 40), (20, 40)])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<i2"])
def test_large_chunks_of_hdf5(dtype: str, chunks: tuple[int, int], options: dict[str, object], tmp_path: Path) -> None:
    x = (np.random.default_rng(0).standard_normal((15_000, 40)) * 1000).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", data=x, chunks=chunks, **options)
    source = sources.open(tmp_path / "a.h5")
    got = np.concatenate([c.matrix.copy() for p in source.partitions() for c in p.chunks(1000)])
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, x)
