"""What the filters of an HDF5 dataset did to a chunk, undone in the thread that wants it.

Compressed chunks are decoded with the codecs that Zarr stores need anyway, so that no plug-in of the HDF5 library is
needed for them. Filters that are not known here are left to the library.
"""

from collections.abc import Callable
from typing import Any

import numcodecs
import numpy as np
from numcodecs import lz4
from numpy.typing import NDArray

from streamreg.sources.hdf5.bitshuffle import unbitshuffle
from streamreg.sources.stored.buffers import Pool
from streamreg.sources.stored.codecs import decode_into, inflate, unshuffle

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
        undone = unshuffle if name == "shuffle" else _DECODERS[name]
        raw = np.frombuffer(undone(raw, into, itemsize), np.uint8)
    return raw


def _verified(raw: Bytes) -> Bytes:
    """Return the bytes before their checksum."""
    if len(raw) > 4:
        data, stored = raw[:-4], raw[-4:].view("<u2")
        sums = np.array(_fletcher(data), np.uint16)
        # Library versions before 1.6.3 stored it in the other order of bytes, and those after it accept that.
        if (stored == sums.byteswap()).all() or (stored == sums).all():
            return data
    raise ValueError("its fletcher32 checksum does not match")


def _fletcher(data: Bytes) -> tuple[int, int]:
    """Return both sums of Fletcher's checksum: of the 16-bit words, and of the sums up to each, modulo 65535.

    The format means words whose high byte is first; in this arithmetic that swaps the bytes of the sums. The second is
    a sum of words times how many follow, taken from sums over rows and columns of a table of them: plain reductions,
    during which other threads run, as they do not in the codec of numcodecs.
    """
    words = data[: len(data) // 2 * 2].view("<u2")
    width = 1024 if len(words) < 2**26 else 2**16  # so that no sum of a row or column passes 2**32
    table = words[: len(words) // width * width].reshape(-1, width)
    rest = np.append(words[table.size :], data[len(data) // 2 * 2 :]).astype(np.uint64)
    rows, columns = (np.add.reduce(table, axis=axis, dtype=np.uint32).astype(np.uint64) for axis in (1, 0))
    total = int(rows.sum() + rest.sum())
    count = table.size + len(rest)
    follow = np.arange(count, len(rest), -width, dtype=np.uint64) % np.uint64(65535)
    second = int(follow @ (rows % np.uint64(65535))) + int(np.arange(len(rest), 0, -1, dtype=np.uint64) @ rest)
    second -= int(np.arange(width, dtype=np.uint64) @ columns)
    return (total % 65535 or 65535, second % 65535 or 65535) if total else (0, 0)


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
