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
from streamreg.sources.hdf5_bitshuffle import unbitshuffle

_NAMES = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32015: "zstd"}
"""Filters by number: those of the format, and some of those registered with the HDF Group."""

_BITSHUFFLED = {2: "bitshuffle lz4", 3: "bitshuffle zstd"}
"""By the compression among the settings."""

Bytes = NDArray[np.uint8]


def known_filters(properties: Any, itemsize: int) -> tuple[str, ...] | None:
    """Return the filters of a dataset in the order they were applied, or None if they are not all undone here."""
    found: list[str] = []
    for i in range(properties.get_nfilters()):
        code, _, settings, _ = properties.get_filter(i)
        name = _NAMES.get(code, "")
        if name == "bitshuffle":
            name = _BITSHUFFLED.get(settings[4], "") if len(settings) > 4 and settings[2] == itemsize else ""
        if name == "shuffle" and tuple(settings[:1]) != (itemsize,):
            return None
        compressed = not _DECODERS.keys().isdisjoint(found)
        if name not in ("shuffle", "fletcher32", *_DECODERS) or (compressed and name != "fletcher32"):
            return None  # what follows a compression is undone to a length that is not known
        found.append(name)
    return tuple(found)


def undo(filters: tuple[str, ...], raw: Bytes, out: Bytes, itemsize: int, pool: Pool) -> Any:
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
        name = left.pop()
        if name == "fletcher32":
            raw = _verified(raw)
            continue
        into = pool.take(len(out) + 4 * left.count("fletcher32")) if left else out
        undone = _unshuffle if name == "shuffle" else _DECODERS[name]
        raw = np.frombuffer(undone(raw, into, itemsize), np.uint8)
    return raw


def _verified(raw: Bytes) -> Bytes:
    """Return the bytes before their checksum."""
    if len(raw) > 4:
        for order in ([-4, -3, -2, -1], [-3, -4, -1, -2]):  # the second is that of library versions before 1.6.3
            with suppress(RuntimeError):
                raw[-4:] = raw[order]
                return np.frombuffer(_CHECKSUM.decode(raw), np.uint8)
    raise ValueError("its fletcher32 checksum does not match")


def _unshuffle(raw: Bytes, out: Bytes, itemsize: int) -> Bytes:
    """Bring the bytes of each number together, which are stored first byte of all, second byte of all, ..."""
    if len(raw) != len(out):
        raise ValueError(f"{len(raw):,} bytes where {len(out):,} are expected")
    end = len(raw) // itemsize * itemsize  # a checksum below may be what is left over
    numbers = out[:end].reshape(-1, itemsize)
    for k, plane in enumerate(raw[:end].reshape(itemsize, -1)):
        numbers[:, k] = plane
    out[end:] = raw[end:]
    return out


def _inflated(raw: Bytes, out: Bytes, itemsize: int) -> Bytes:
    inflate(raw, out)
    return out


def _from_lz4(raw: Bytes, out: Bytes, itemsize: int) -> Bytes:
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
_BLOSC, _LZ4, _ZSTD = numcodecs.Blosc(), numcodecs.LZ4(), numcodecs.Zstd()
_DECODERS: dict[str, Callable[[Bytes, Bytes, int], Any]] = {
    "deflate": _inflated,
    "blosc": lambda raw, out, itemsize: decode_into(_BLOSC, raw, out),
    "lz4": _from_lz4,
    "zstd": lambda raw, out, itemsize: decode_into(_ZSTD, raw, out),
    "bitshuffle lz4": lambda raw, out, itemsize: unbitshuffle(raw, out, itemsize, _LZ4),
    "bitshuffle zstd": lambda raw, out, itemsize: unbitshuffle(raw, out, itemsize, _ZSTD),
}
"""Compressions."""
