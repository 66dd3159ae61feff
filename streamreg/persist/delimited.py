"""Rows as lines of a CSV file: all digits of every number, and quotes only where they are needed."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamreg.errors import DataError

_WHOLE = r"^-?\d+$"


def header(names: Sequence[str], mark: str) -> bytes:
    """Return the line of names.

    Raises
    ------
    DataError
        A column has no name.
    """
    if "" in names:
        raise DataError("a column has no name, and readers of CSV leave such columns out; rename it")
    cells = [f'"{n.replace(chr(34), 2 * chr(34))}"' if set(n) & {mark, '"', "\n", "\r"} else n for n in names]
    return (mark.join(cells) + "\n").encode()


def lines(arrays: Sequence[Any], mark: str) -> Any:
    """Return rows as UTF-8 bytes; missing values are empty, or NA where they alone would make a line.

    Parameters
    ----------
    arrays : sequence of pyarrow.Array
        One for each column.
    mark : str
        What stands between cells.
    """
    texts = [_texts(array, mark) for array in arrays]
    alone = "NA" if len(texts) == 1 else ""
    joined = pc.binary_join_element_wise(*texts, _text(mark), null_handling="replace", null_replacement=alone)
    ended = _joined(joined, "\n")
    if not len(ended):
        return b""
    offsets, content = ended.buffers()[1:]
    first, last = (
        int.from_bytes(offsets[8 * k : 8 * k + 8], "little") for k in (ended.offset, ended.offset + len(ended))
    )
    return content[first:last]


def _texts(array: Any, mark: str) -> Any:
    kind = array.type
    if pa.types.is_string(kind):
        return _quoted(array.cast(pa.large_string()), mark)
    if pa.types.is_floating(kind):
        texts = array.cast(pa.float64()).cast(pa.large_string())
        whole = pc.match_substring_regex(texts, _WHOLE)
        # A column of floats stays one, also where its first thousand cells are whole numbers.
        return pc.if_else(whole, _joined(texts, ".0"), texts) if pc.any(whole).as_py() else texts
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        utc = array.cast(pa.timestamp(kind.unit))  # the same instants, written as UTC
        return _joined(utc.cast(pa.large_string()), "Z")
    return array.cast(pa.large_string())


def _joined(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*(_text(part) if isinstance(part, str) else part for part in parts), _text(""))


def _text(value: str) -> Any:
    return pa.scalar(value, pa.large_string())


def _quoted(texts: Any, mark: str) -> Any:
    """Return texts as cells: in quotes where they hold the mark, quotes or ends of lines, or are empty."""
    special = pc.or_(pc.match_substring_regex(texts, f'["\r\n{mark}]|^[ \t]|[ \t]$'), pc.equal(texts, ""))
    if not pc.any(special).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(special, _joined('"', doubled, '"'), texts)
