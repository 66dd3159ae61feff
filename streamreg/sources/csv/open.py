"""CSV files: where their records are, what their columns are called, and of which types they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from streamreg.errors import DataError, NotFound, UsageError, nearest
from streamreg.kernels import csvscan
from streamreg.sources.arrow.columns import dtype_of
from streamreg.sources.arrow.files import listed
from streamreg.sources.base import TEXT, Schema
from streamreg.sources.checks import column_names
from streamreg.sources.csv import borders
from streamreg.sources.csv.dialect import Dialect, bom, is_header, missing, sniffed
from streamreg.sources.csv.source import CsvFile, CsvSource
from streamreg.sources.csv.streams import COMPRESSED, reading
from streamreg.sources.csv.types import Seen, given, learn
from streamreg.sources.stored.files import file_fingerprint

_PLAIN = (".csv", ".tsv", ".tab")
SUFFIXES = (*_PLAIN, *(plain + packed for plain in _PLAIN for packed in COMPRESSED))
"""Of files in a folder; one with another name may be of text that is no table."""

_PIECE, _PIECE_COLUMN = 3 * 2**19, 2**11
"""Bytes of a range, and the least for each column: larger ones are no faster, and take more memory."""

_HEAD = 2**16
_SAMPLE = 2**19


def open_csv(
    data: Any,
    *,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    quote: str | None = '"',
    header: bool | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    na_values: str | Sequence[str] | None = None,
    dtypes: Mapping[str, Any] | None = None,
    piece: int | None = None,
) -> CsvSource:
    """Return a source over a delimited text, plain or compressed (``.gz``, ``.bz2``, ``.xz``, ``.zst``).

    Every byte is looked at once, for quotes and newlines. Types are learned from rows of all parts of the files, and
    then hold: a cell elsewhere that does not fit is refused with its place. Whole numbers with leading zeros are
    text. Blank lines are left out.

    Parameters
    ----------
    data : path, pattern, folder or list of paths
        Columns of several files are matched by name; those that the first file does not have are left out.
    columns : sequence of str, optional
        Names of the columns, instead of those in the header. A column without a name there is left out.
    delimiter : str, optional
        If not given, a tab for ``.tsv``, else the one of ``, ; | `` and tab that cuts the first rows alike.
    quote : str or None
        None: quotes are plain characters.
    header : bool, optional
        Whether the first record holds names. If not given it does, and a first record of numbers alone is refused.
    encoding : str
        UTF-8, or an encoding of single bytes, such as ``"latin-1"``.
    decimal : str
        The decimal mark.
    na_values : str or sequence of str, optional
        What stands for a missing value besides empty cells, NA, N/A, NaN, NULL, None and the like.
    dtypes : mapping of str to str, optional
        Types of some columns: "float64", "float32", "int64", "uint64", "bool", "text", "date", "datetime" or
        "datetime UTC". True and false become int64 where some are missing, and where their type is given.
    piece : int, optional
        Bytes that are parsed at a time; if not given, a megabyte and a half, and more where there are many columns.

    Raises
    ------
    NotFound
        There is no such file.
    DataError
        A file has no rows, lacks a column, names one twice, or its text is malformed.
    CorruptError
        A file cannot be decompressed, or ends inside quotes.
    UsageError
        An option is not one.
    """
    listing = listed(data, SUFFIXES)
    paths, parts = [Path(file.path) for file in listing], [dict(file.constants) for file in listing]
    label = str(data) if isinstance(data, str | Path) and len(paths) > 1 else str(paths[0])
    label += f" and {len(paths) - 1} more" if label == str(paths[0]) and len(paths) > 1 else ""
    if header not in (None, True, False):
        raise UsageError(f"header={header!r}; it can be True or False")
    na = missing(na_values)
    dialect: Dialect | None = None
    files: list[CsvFile] = []
    seen_cells: dict[str, Seen] = {}
    for path, folders in zip(paths, parts, strict=True):
        seen = file_fingerprint(path)
        with reading(str(path), seen) as read:
            head = read(0, _HEAD).tobytes()
            skip = bom(str(path), head)
            if dialect is None:
                guess = delimiter if delimiter is not None else sniffed(path, head[skip:], quote)
                dialect = Dialect(guess, quote, encoding, decimal, na)
            names, start = _header(path, head, skip, dialect, header, columns)
        if not files:
            wanted = [name for name in names if not name.startswith("\0")]
            types = given(dtypes, wanted, label)
            seen_cells = {name: Seen() for name in wanted}
        _require_columns(path, names, wanted, paths[0])
        if piece is None:
            piece = max(_PIECE, _PIECE_COLUMN * len(names))
        ranges = borders.find(
            str(path), seen, start, dialect, piece, max(1024, _SAMPLE // borders.SNIPPETS // len(paths))
        )
        learn(ranges.snippets, dialect, [None if name in types else seen_cells.get(name) for name in names])
        ranges.snippets = []
        files.append(CsvFile(str(path), seen, names, ranges, dict(folders)))
    assert dialect is not None
    if not sum(file.borders.rows[-1] for file in files):
        raise DataError(f"{label}: has no rows beside its header; check how it was written")
    return _source(label, files, dialect, types, seen_cells, parts)


_OPTIONS = ("delimiter", "quote", "header", "encoding", "decimal", "na_values", "dtypes")


def open_with(data: Any, columns: Sequence[str] | None, options: Mapping[str, Any] | None) -> CsvSource:
    """Return `open_csv` with options by name; refuse other ones, by `UsageError`."""
    if options is not None and not isinstance(options, Mapping):
        raise UsageError(f"options is a {type(options).__name__}; it must be a mapping, as in {{'delimiter': ';'}}")
    for name in options or {}:
        if name not in _OPTIONS:
            raise UsageError(f"options: CSV files have no option {name!r}{nearest(str(name), _OPTIONS)}")
    return open_csv(data, columns=columns, **(options or {}))


def _source(
    label: str,
    files: list[CsvFile],
    dialect: Dialect,
    types: dict[str, Any],
    seen_cells: Mapping[str, Seen],
    parts: Sequence[Mapping[str, Any]],
) -> CsvSource:
    dtypes: dict[str, np.dtype[Any]] = {}
    zones, refused, kinds = {}, {}, {}
    for name, cells in seen_cells.items():
        kind, why = (types[name], "") if name in types else cells.decide()
        if kind is None:
            refused[name], kind = why, pa.binary()
        else:
            kinds[name] = kind
        dtypes[name] = dtype_of(kind, pa.types.is_boolean(kind) and (name in types or cells.absent > 0))
        if pa.types.is_timestamp(kind) and kind.tz:
            zones[name] = kind.tz
    for name in parts[0]:
        dtypes[name] = TEXT if any(isinstance(part[name], str) for part in parts) else np.dtype(np.int64)
    rows = sum(file.borders.rows[-1] for file in files)
    schema = Schema(tuple(dtypes), tuple(dtypes.values()), rows, zones, refused)
    return CsvSource(label, files, dialect, kinds, schema, kinds.keys() - types.keys())


def _header(
    path: Path,
    head: bytes,
    skip: int,
    dialect: Dialect,
    header: bool | None,
    columns: Sequence[str] | None,
) -> tuple[tuple[str, ...], int]:
    """Return the names of the columns, and the first byte of the rows.

    A column without a name gets one that begins with a zero byte.
    """
    records, end, state = csvscan.walk(head[skip:], csvscan.RECORD, *dialect.bytes, 1)
    if not records and state < csvscan.WRONG_QUOTE and len(head) == _HEAD:
        raise DataError(
            f"{path}: the header does not end within {_HEAD:,} bytes; check its quotes, and whether it is text"
        )
    try:
        text = head[skip : skip + end].decode(dialect.encoding)
    except UnicodeDecodeError:
        raise DataError(f"{path}: the header is not {dialect.encoding}; pass encoding, as in 'latin-1'") from None
    fields = [field.strip() for field in dialect.fields(text)]
    if not fields:
        raise DataError(f"{path}: is empty; leave it out, or write it again")
    if header is None and is_header(fields) is False:
        raise DataError(
            f"{path}: the first row holds no names but numbers ({', '.join(fields[:3])}...); pass header=False "
            "if the file has no header, or header=True"
        )
    if header is False:
        return column_names(columns, len(fields), str(path)), skip
    if columns is not None:
        return column_names(columns, len(fields), str(path)), skip + end
    names = [field or f"\0{k}" for k, field in enumerate(fields)]
    if not any(fields):
        raise DataError(f"{path}: no column has a name in the header; pass header=False or columns")
    return column_names(names, len(names), str(path)), skip + end


def _require_columns(path: Path, names: Sequence[str], wanted: Sequence[str], first: Path) -> None:
    there = set(names)
    for name in wanted:
        if name not in there:
            hint = nearest(name, [n for n in names if not n.startswith("\0")])
            raise NotFound(f"{path}: has no column {name!r}, which {first} has{hint}")
