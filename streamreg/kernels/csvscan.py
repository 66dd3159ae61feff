"""Where records end in delimited text, which a quoted field may hold newlines of.

`scan` looks at a range alone, whose beginning may lie inside quotes or outside: it counts for both, and the parity of
the quotes before the range picks one. That is exact where quotes stand at the ends of fields only. Where they do not,
`walk` reads byte by byte from the beginning on. Both are compiled where the package was built with a C compiler, and
else made of NumPy.
"""

import re
from typing import Any, NamedTuple

import numpy as np

try:
    from streamreg.kernels import _csvscan
except ImportError:
    _KERNEL = None
else:
    _KERNEL = max(k for k, name in enumerate(_csvscan.kernels()) if name)

ALL = 2**62
"""More records than there are."""

RECORD, FIELD, PLAIN, QUOTED, AFTER, RETURN, BLANK, WRONG_QUOTE, WRONG_RETURN = range(9)
"""States between two bytes: at the beginning of a record or of another field, in a plain or a quoted field, after a
quote that may have closed it, after a carriage return that ends a record or a blank line; what no text may hold."""

_LF, _CR = 10, 13


class Side(NamedTuple):
    """What a range is if it begins outside quotes, or inside: see `scan`."""

    records: int
    at: int
    irregular: bool


def scan(data: Any, lead: int, delimiter: int, quote: int, limit: int = 1) -> tuple[bool, Side, Side]:
    """Count the records that end in a range; blank lines are none.

    Parameters
    ----------
    data : bytes-like
    lead : int
        How many bytes of `data` come before the range: two, or fewer where a record begins with the first of them.
    delimiter, quote : int
        Bytes; a quote of -1: there is none.
    limit : int
        Which of the records to find the end of, from 1. Counting may stop there if it is not the first.

    Returns
    -------
    odd : bool
        Whether the number of quotes is odd.
    outside, inside : Side
        For a range that begins outside quotes and for one that begins inside: how many records end in it; where in
        `data` that one ended, or -1; and whether it is not for this function: a quote amid a field, a field that goes
        on after its closing quote, a carriage return without a newline.

    Notes
    -----
    Cost: 64 bytes at a time, some 10 GB/s with AVX-512; quotes cost twice that.
    """
    if _KERNEL is None:
        return _scan(np.frombuffer(data, np.uint8), lead, delimiter, quote, limit)
    odd, outside, inside = _csvscan.scan(_KERNEL, data, lead, delimiter, quote, limit)
    return bool(odd), Side(*outside[:2], bool(outside[2])), Side(*inside[:2], bool(inside[2]))


def walk(data: Any, state: int, delimiter: int, quote: int, limit: int = ALL) -> tuple[int, int, int]:
    """Read on from a state, byte by byte, to the end of record number `limit`, or of the data.

    A quote is one at the beginning of a field only, and two of them in a quoted field are one; as in Python's csv.

    Returns
    -------
    records : int
        How many ended.
    at : int
        The byte after the last one looked at.
    state : int
        `WRONG_QUOTE` or `WRONG_RETURN` is due to the last byte looked at.
    """
    if _KERNEL is None:
        return _walk(bytes(data), state, delimiter, quote, limit)
    return _csvscan.walk(data, state, delimiter, quote, limit)


def zeros(data: Any, delimiter: int, quote: int) -> bool:
    """Say whether a field may begin with a zero and another digit, maybe after a sign or blanks: never wrongly no."""
    if _KERNEL is None:
        return re.search(rb"(?<!\d)0\d", bytes(data)) is not None
    return _csvscan.zeros(data, delimiter, quote)


def _scan(text: Any, lead: int, delimiter: int, quote: int, limit: int) -> tuple[bool, Side, Side]:
    """Do what `scan` says."""
    moved = 2 - lead
    text, lead = np.concatenate((np.full(moved, _LF, np.uint8), text)), 2
    quotes = np.flatnonzero(text[lead:] == quote) + lead if quote >= 0 else np.empty(0, np.intp)
    lines, returns = (np.flatnonzero(text[lead:] == c) + lead for c in (_LF, _CR))
    before, earlier = text[lines - 1], text[lines - 2]
    lines = lines[(before != _LF) & ((before != _CR) | (earlier != _LF))]
    ends = np.append(text, np.uint8(_LF))  # what follows the last byte is looked at with the next range
    returns = np.append(returns, lead - 1)[text[np.append(returns, lead - 1)] == _CR]
    returns = returns[ends[returns + 1] != _LF]
    returns = returns[returns + 1 < len(text)]
    sides = []
    for inside in (0, 1):
        opening, closing = quotes[inside::2], quotes[1 - inside :: 2]
        if not inside and quote >= 0 and text[lead - 1] == quote:
            closing = np.append(closing, lead - 1)
        irregular = not np.isin(text[opening - 1], [_LF, delimiter, quote]).all()
        irregular |= not np.isin(ends[closing + 1], [_LF, _CR, delimiter, quote]).all()
        own = returns[(np.searchsorted(quotes, returns) + inside) % 2 == 0]
        irregular |= bool((own >= lead).any() or (not inside and (own == lead - 1).any()))
        plain = lines[(np.searchsorted(quotes, lines) + inside) % 2 == 0]
        at = int(plain[limit - 1]) + 1 - moved if len(plain) >= limit else -1
        sides.append(Side(len(plain), at, bool(irregular)))
    return bool(len(quotes) % 2), sides[0], sides[1]


def _walk(data: bytes, state: int, delimiter: int, quote: int, limit: int) -> tuple[int, int, int]:
    """Do what `walk` says, from one quote, newline or carriage return to the next."""
    records = at = 0
    special = re.compile(b"[\n\r%s]" % (re.escape(bytes([quote])) if quote >= 0 else b""))
    for found in special.finditer(data):
        if records >= limit:
            return records, at, state
        here = found.start()
        if here > at and (state := _over(state, data, at, here, delimiter)) >= WRONG_QUOTE:
            return records, at + 1, state
        byte, was, at = data[here], state, here + 1
        if state == QUOTED:
            state = AFTER if byte == quote else QUOTED
        elif state in (RETURN, BLANK) and byte != _LF:
            return records, at, WRONG_RETURN
        elif byte == _LF:
            state = RECORD
            records += was not in (RECORD, BLANK)
        elif byte == _CR:
            state = BLANK if state == RECORD else RETURN
        else:
            state = QUOTED if state in (RECORD, FIELD, AFTER) else PLAIN
    if records < limit and at < len(data):
        state = _over(state, data, at, len(data), delimiter)
        at = at + 1 if state >= WRONG_QUOTE else len(data)
    return records, at, state


def _over(state: int, data: bytes, start: int, stop: int, delimiter: int) -> int:
    """Return the state after bytes, of which there is one at least, that are no quotes and end no line."""
    if state == QUOTED:
        return state
    if state in (RETURN, BLANK):
        return WRONG_RETURN
    if state == AFTER and data[start] != delimiter:
        return WRONG_QUOTE
    return FIELD if data[stop - 1] == delimiter else PLAIN
