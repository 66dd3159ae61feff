"""Compressed bytes decoded into a buffer that is already there.

The codecs let other threads run while they work. The bytes are not trusted: if they say that they become more than the
buffer holds, they are refused before memory is taken for them.
"""

from contextlib import suppress
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_STEP = 2**17
_DAMAGED: Any = isal_zlib.error  # its stub calls this class an instance
_ZSTD = bytes.fromhex("28b52ffd")


def inflate(raw: NDArray[np.uint8], out: NDArray[np.uint8], wbits: int = isal_zlib.MAX_WBITS) -> int:
    """Fill `out` with what `raw` was deflated from, a little at a time; return how many bytes follow in `raw`.

    Raises
    ------
    ValueError
        The bytes are damaged, or become more or fewer than `out` holds.
    """
    stream, at = isal_zlib.decompressobj(wbits), 0
    for i in range(0, len(raw), _STEP):
        try:
            piece = stream.decompress(raw.data[i : i + _STEP], len(out) - at + 1)
        except _DAMAGED as error:
            raise ValueError(str(error)) from error
        if len(piece) > len(out) - at:
            raise ValueError(f"more than the {len(out):,} bytes expected")
        out[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    if at < len(out) or not stream.eof:
        raise ValueError(f"{at:,} bytes where {len(out):,} are expected, or an end that is missing")
    return len(stream.unused_data)


def unshuffle(raw: NDArray[np.uint8], out: NDArray[np.uint8], itemsize: int) -> NDArray[np.uint8]:
    """Bring the bytes of each number together, which are stored first byte of all, second byte of all, ...

    Raises
    ------
    ValueError
        There are more or fewer of them than `out` holds.
    """
    if len(raw) != len(out):
        raise ValueError(f"{len(raw):,} bytes where {len(out):,} are expected")
    end = len(raw) // itemsize * itemsize
    numbers = out[:end].reshape(-1, itemsize)
    for k, plane in enumerate(raw[:end].reshape(itemsize, -1)):
        numbers[:, k] = plane
    out[end:] = raw[end:]
    return out


def decode_into(codec: Any, raw: NDArray[np.uint8], out: NDArray[np.uint8]) -> Any:
    """Decode with a codec of numcodecs: into `out` if the bytes say how many they become, else into new memory.

    Raises
    ------
    ValueError, RuntimeError
        They are damaged, or say that they become more than `out` holds. Each codec raises errors of its own.
    """
    if codec.codec_id == "shuffle":  # the codec itself would not let other threads run
        return unshuffle(raw, out, codec.elementsize)
    if codec.codec_id in ("gzip", "zlib"):
        with suppress(ValueError):  # several streams one after the other are left to the codec
            if not inflate(raw, out, 15 + 16 * (codec.codec_id == "gzip")):
                return out
    size = _decoded_size(codec.codec_id, raw)
    if size > len(out):
        raise ValueError(f"{size:,} bytes where {len(out):,} are expected")
    return codec.decode(raw, out) if size == len(out) else codec.decode(raw)


def _decoded_size(kind: str, raw: NDArray[np.uint8]) -> int:
    """Return how many bytes these say they become at least, or -1 if they do not say it.

    The headers are those of RFC 8878 (Zstandard), section 3.1.1.1, of the README of c-blosc 1, and of numcodecs.LZ4.
    """
    head = bytes(raw[:18])
    if kind == "blosc":
        if len(head) < 16 or int.from_bytes(head[12:16], "little") != len(raw):
            raise ValueError("not as many bytes as they say they are")
        return int.from_bytes(head[4:8], "little")
    if kind == "lz4" and len(head) >= 4:
        return int.from_bytes(head[:4], "little")
    if kind == "zstd" and len(head) > 4 and head.startswith(_ZSTD):
        single, width = head[4] >> 5 & 1, (0, 2, 4, 8)[head[4] >> 6]
        at = 6 - single + (0, 1, 2, 4)[head[4] & 3]
        if width or single:
            return int.from_bytes(head[at : at + (width or single)], "little") + 256 * (width == 2)
    return -1
