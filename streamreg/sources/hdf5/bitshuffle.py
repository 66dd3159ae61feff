"""HDF5 chunks of the filter bitshuffle, decoded by Blosc.

Both cut a chunk into blocks, bring the bits of equal weight of a block's numbers together, and compress it alone. They
differ in what they write around the blocks, which is rewritten here: no block is decoded twice, or in Python. The
layouts are those of the READMEs of bitshuffle and of c-blosc 1.
"""

from struct import pack_into, unpack_from
from typing import Any

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from streamreg.sources.stored.codecs import decode_into

_VERSIONS, _FLAGS = (2, 1), 0x14  # bits are shuffled, and blocks are not split by byte
_FORMATS = {"lz4": 1 << 5, "zstd": 4 << 5}


def unbitshuffle(raw: NDArray[np.uint8], out: NDArray[np.uint8], itemsize: int, codec: Any) -> NDArray[np.uint8]:
    """Fill `out` with a chunk whose blocks were compressed with LZ4 or Zstandard, a codec of numcodecs.

    Raises
    ------
    ValueError, RuntimeError
        The bytes are damaged, or become more or fewer than `out` holds.
    """
    total, block = unpack_from(">QI", raw.data) if len(raw) >= 12 else (0, 0)
    if total != len(out) or not block or block % (8 * itemsize):
        raise ValueError(f"{total:,} bytes, {block:,} at a time, where {len(out):,} are expected")
    whole = total - total % (8 * itemsize)  # up to seven numbers at the end are stored as they are
    starts = range(0, whole, block)
    head = 16 + 4 * len(starts)
    packed, at = np.empty(head + len(raw) - 12, np.uint8), head
    packed[head:], view = raw[12:], packed.data
    for i, start in enumerate(starts):
        size = unpack_from(">I", view, at)[0] if at + 4 <= len(packed) else 0
        if not size or at + 4 + size > len(packed):
            raise ValueError("an end that is missing")
        if size == min(block, whole - start):  # which would say to Blosc that the block is not compressed
            _decode(codec, packed[at : at + 4 + size])
        pack_into("<I", view, at, size)
        pack_into("<I", view, 16 + 4 * i, at)
        at += 4 + size
    if whole:
        flags = _FLAGS | _FORMATS[codec.codec_id]
        pack_into("<4B3I", view, 0, *_VERSIONS, flags, itemsize, whole, min(block, whole), at)
        blosc.decompress(packed[:at], out[:whole])
    if len(packed) - at < total - whole:
        raise ValueError("an end that is missing")
    out[whole:] = packed[at : at + total - whole]
    return out


def _decode(codec: Any, stored: NDArray[np.uint8]) -> None:
    """Decode a block, after four bytes for its length, in its place."""
    length = len(stored) - 4
    pack_into("<I", stored.data, 0, length)  # as this decoder of LZ4 wants it
    decoded = decode_into(codec, stored if codec.codec_id == "lz4" else stored[4:], np.empty(length, np.uint8))
    if len(decoded) != length:
        raise ValueError(f"{len(decoded):,} bytes where {length:,} are expected")
    stored[4:] = np.frombuffer(decoded, np.uint8)
