"""Linear restrictions on coefficients, written as text: ``"x1 = x2, x3 = 0, 2 x1 + x4 = 1"``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import NotFound, UsageError, nearest

Float = NDArray[np.float64]

INTERCEPT = "intercept"

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORD = re.compile(r"[^\W\d][\w.]*")
_SYMBOLS = "+-*=,;"


@dataclass(frozen=True, slots=True)
class Restrictions:
    """``matrix @ [intercept, coef] = value``.

    Attributes
    ----------
    matrix : ndarray of shape (q, p + 1)
        The intercept first.
    value : ndarray of shape (q,)
    texts : tuple of str
        Each restriction as it was written.
    """

    matrix: Float
    value: Float
    texts: tuple[str, ...]


def parse(text: str, names: Sequence[str]) -> Restrictions:
    """Read restrictions.

    Parameters
    ----------
    text : str
        Equations between sums of ``number name``, ``number * name``, ``name`` and ``number``, apart by commas,
        semicolons or line ends; ``a = b = 0`` stands for two. A name is written as it is, or in quotes where it could
        be taken for something else. ``intercept`` is the constant, unless a column has that name.
    names : sequence of str

    Raises
    ------
    NotFound
        A name is not among `names`.
    UsageError
        The text cannot be read, or a restriction holds no coefficient or contradicts itself.
    """
    if not isinstance(text, str):
        raise UsageError(f"restrictions are a {type(text).__name__}; write one text, as in 'x1 = x2, x3 = 0'")
    rows, values, texts = [], [], []
    for words in _split(list(_words(text, names)), ",;\n"):
        if not words:
            continue
        sides = list(_split(words, "="))
        shown = _written(text, words)
        if len(sides) < 2:
            raise UsageError(f"restriction {shown!r} has no '='; write for example {shown + ' = 0'!r}")
        sums = [_sum(side, names, shown) for side in sides]
        for k in range(len(sides) - 1):
            row = sums[k] - sums[k + 1]
            if not np.isfinite(row).all():
                raise UsageError(f"a number in restriction {shown!r} is beyond the range of float64")
            if not row[1:].any():
                raise UsageError(f"restriction {shown!r} holds no coefficient, or the same one on both sides")
            rows.append(row[1:])
            values.append(0.0 - row[0])
            texts.append(f"{_written(text, sides[k])} = {_written(text, sides[k + 1])}")
    if not rows:
        raise UsageError("no restriction; write for example 'x1 = x2, x3 = 0'")
    return Restrictions(np.array(rows), np.array(values), tuple(texts))


@dataclass(frozen=True, slots=True)
class _Word:
    """A piece of the text: a symbol, a number, or a name (then `name` is its place, 0 for the intercept)."""

    symbol: str
    start: int
    stop: int
    number: float | None = None
    name: int | None = None


def _words(text: str, names: Sequence[str]) -> Iterator[_Word]:
    """Cut the text up, known names first, the longest of them before the others."""
    ordered = sorted(range(len(names)), key=lambda k: -len(names[k]))
    at = 0
    while at < len(text):
        char = text[at]
        if char in "\n" or char in _SYMBOLS:
            yield _Word(char, at, at := at + 1)
        elif char.isspace():
            at += 1
        elif char in "'\"`":
            stop = text.find(char, at + 1)
            if stop < 0:
                raise UsageError(f"a quote is not closed in {text[at:]!r}")
            yield _Word("name", at, stop + 1, name=_place(text[at + 1 : stop], names))
            at = stop + 1
        else:
            word = _bare(text, at, names, ordered)
            yield word
            at = word.stop


def _bare(text: str, at: int, names: Sequence[str], ordered: Sequence[int]) -> _Word:
    if number := _NUMBER.match(text, at):
        return _Word("number", at, number.end(), number=float(number[0]))
    for k in ordered:
        stop = at + len(names[k])
        if text.startswith(names[k], at) and not _continues(text, stop):
            return _Word("name", at, stop, name=k + 1)
    if word := _WORD.match(text, at):
        return _Word("name", at, word.end(), name=_place(word[0], names))
    raise UsageError(f"cannot read {text[at:]!r} in a restriction; write for example 'x1 = x2, 2 x3 + x4 = 1'")


def _continues(text: str, at: int) -> bool:
    return at < len(text) and (text[at].isalnum() or text[at] == "_")


def _place(name: str, names: Sequence[str]) -> int:
    if name in names:
        return list(names).index(name) + 1
    if name == INTERCEPT:
        return 0
    raise NotFound(f"no coefficient {name!r}{nearest(name, names)}")


def _split(words: Sequence[_Word], symbols: str) -> Iterator[list[_Word]]:
    part: list[_Word] = []
    for word in words:
        if word.symbol in symbols:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _written(text: str, words: Sequence[_Word]) -> str:
    return " ".join(text[words[0].start : words[-1].stop].split())


def _sum(words: Sequence[_Word], names: Sequence[str], shown: str) -> Float:
    """Return a side of an equation as (constant, intercept, coefficients)."""
    total = np.zeros(len(names) + 2)
    sign: float = 1.0
    factor: float | None = None
    wanted, signed = True, False
    for word in words:
        if word.symbol in ("+", "-"):
            if wanted and signed:
                raise UsageError(f"two signs in a row in restriction {shown!r}")
            if factor is not None:
                total[0] += sign * factor
            sign, factor, wanted, signed = (-1.0 if word.symbol == "-" else 1.0), None, True, True
        elif word.symbol == "*":
            if factor is None:
                raise UsageError(f"'*' stands after no number in restriction {shown!r}; write for example '2 * x1'")
            wanted = True
        elif word.number is not None and wanted and factor is None:
            factor, wanted = word.number, False
        elif word.name is not None and (wanted or factor is not None):
            total[word.name + 1] += sign * (1.0 if factor is None else factor)
            factor, wanted = None, False
        else:
            raise UsageError(
                f"a sign is missing in restriction {shown!r}, before what stands at its position {word.start}"
            )
    if wanted:
        raise UsageError(f"a number or a name is missing in restriction {shown!r}")
    if factor is not None:
        total[0] += sign * factor
    return total


def independent(restrictions: Restrictions, scale: Any) -> None:
    """Make sure that no restriction follows from those before it, in units of `scale` (norms of the coefficients).

    Raises
    ------
    UsageError
        One does, or contradicts them; the message says which.
    """
    rows = restrictions.matrix / np.asarray(scale)
    rows = rows / np.abs(rows).max(axis=1)[:, None]
    rows = rows / np.linalg.norm(rows, axis=1)[:, None]
    for k in range(1, len(rows)):
        share = np.linalg.lstsq(rows[:k].T, rows[k], rcond=None)[0]
        if np.linalg.norm(rows[k] - share @ rows[:k]) < 1e-10:
            raise UsageError(
                f"restriction {restrictions.texts[k]!r} follows from those before it, or contradicts them; leave it out"
            )
