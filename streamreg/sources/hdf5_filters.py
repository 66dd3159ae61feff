"""What the filters of an HDF5 dataset did to a chunk, undone in the thread that wants it.

Compressed chunks are decoded with the codecs that Zarr stores need anyway, so that no plug-in of the HDF5 library is
needed for them. Filters that are not known here are left to the library.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numcodecs
import numpy as np
from numcodecs import lz4
from numpy.typing import NDArray

from streamreg.sources.buffers import Pool
from streamreg.sources.codecs import decode_into, inflate

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
"""Numbers of these filters in the format."""

BLOSC, LZ4, ZSTD = 32001, 32004, 32015
"""Numbers under which these filters are registered with the HDF Group."""

Bytes = NDArray[np.uint8]


def known_filters(properties: Any, itemsize: int) -> tuple[int, ...] | None:
    """Return the filters of a dataset in the order they were applied, or None if they are not all undone here."""
    found: list[int] = []
    for i in range(properties.get_nfilters()):
        code, _, settings, _ = properties.get_filter(i)
        compressed = not _DECODERS.keys().isdisjoint(found)
        if code not in (SHUFFLE, FLETCHER32, *_DECODERS) or (compressed and code != FLETCHER32):
            return None  # what follows a compression is undone to a length that is not known
        if code == SHUFFLE and tuple(settings[:1]) != (itemsize,):
            return None
        found.append(code)
    return tuple(found)


def undo(filters: tuple[int, ...], raw: Bytes, out: Bytes, itemsize: int, pool: Pool) -> Any:
    """Undo the filters that were applied to a chunk, last one first.

    Returns
    -------
    bytes-like
        `out`, filled with the chunk, or other bytes, which may be too few or many.

    Raises
    ------
    ValueError, RuntimeError
        The bytes are damaged.
    """
    left = list(filters)
    while left:
        code = left.pop()
        if code == FLETCHER32:
            raw = _verified(raw)
            continue
        into = pool.take(len(out) + 4 * left.count(FLETCHER32)) if left else out
        if code == SHUFFLE:
            _unshuffle(raw, into, itemsize)
            raw = into
        else:
            raw = np.frombuffer(_DECODERS[code](raw, into), np.uint8)
    return raw


def _verified(raw: Bytes) -> Bytes:
    """Return the bytes before their checksum."""
    if len(raw) > 4:
        for order in ([-4, -3, -2, -1], [-3, -4, -1, -2]):  # the second is that of library versions before 1.6.3
            with suppress(RuntimeError):
                raw[-4:] = raw[order]
                return np.frombuffer(_CHECKSUM.decode(raw), np.uint8)
    raise ValueError("its fletcher32 checksum does not match")


def _unshuffle(raw: Bytes, out: Bytes, itemsize: int) -> None:
    """Bring the bytes of each number together, which are stored first byte of all, second byte of all, ..."""
    if len(raw) != len(out):
        raise ValueError(f"{len(raw):,} bytes where {len(out):,} are expected")
    end = len(raw) // itemsize * itemsize  # a checksum below may be what is left over
    numbers = out[:end].reshape(-1, itemsize)
    for k, plane in enumerate(raw[:end].reshape(itemsize, -1)):
        numbers[:, k] = plane
    out[end:] = raw[end:]


def _inflated(raw: Bytes, out: Bytes) -> Bytes:
    inflate(raw, out)
    return out


def _from_lz4(raw: Bytes, out: Bytes) -> Bytes:
    """Decode blocks of LZ4.

    Before them stand the length of all (8 bytes) and of one (4), decoded, and before each its own (4), as it is stored,
    the highest byte first. A block of full length is not compressed.
    """
    total, step, at = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:12], "big"), 12
    if total != len(out) or not step:
        raise ValueError(f"{total:,} bytes, {step:,} at a time, where {len(out):,} are expected")
    for start in range(0, total, step):
        block, size = out[start : start + step], int.from_bytes(raw[at : at + 4], "big")
        stored = raw[at : at + 4 + size]
        if len(stored) < 4 + size:
            raise ValueError("an end that is missing")
        if size == len(block):
            block[:] = stored[4:]
        else:
            stored[:4] = np.array([len(block)], "<u4").view(np.uint8)  # as the decoder wants it
            lz4.decompress(stored, block)
        at += 4 + size
    return out


_CHECKSUM = numcodecs.Fletcher32()
_BLOSC, _ZSTD = numcodecs.Blosc(), numcodecs.Zstd()
_DECODERS: dict[int, Callable[[Bytes, Bytes], Any]] = {
    DEFLATE: _inflated,
    BLOSC: lambda raw, out: decode_into(_BLOSC, raw, out),
    LZ4: _from_lz4,
    ZSTD: lambda raw, out: decode_into(_ZSTD, raw, out),
}
"""Compressions, by their number."""
