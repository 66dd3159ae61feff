"""Whole records as columns, by Arrow, and what to say of those that do not fit."""

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc

from streamreg.errors import ChangedError, DataError
from streamreg.kernels import csvscan
from streamreg.sources.csv.dialect import Dialect

_RAGGED = re.compile(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+): ?(.*)", re.DOTALL)
_CELL = re.compile(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to ([^:]+): (.*)", re.DOTALL)
_VALUE = re.compile(r"'(.*)'", re.DOTALL)
_WORDS = {"double": "a number", "float": "a number", "int64": "a whole number", "uint64": "a whole number from 0 on",
          "bool": "true or false", "date32[day]": "a date"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parser:
    """Turns records of one file into a table.

    Attributes
    ----------
    path : str
    dialect : Dialect
    names : tuple of str
        All columns of the file, in its order; no two alike.
    types : dict of str to DataType
        Of those that are wanted.
    whole : tuple of str
        Those of them that were learned to be whole numbers.
    """

    path: str
    dialect: Dialect
    names: tuple[str, ...]
    types: dict[str, Any]
    whole: tuple[str, ...] = ()

    def table(self, data: Any, row: int, rows: int) -> Any:
        """Return some records as a `pyarrow.Table`.

        Parameters
        ----------
        data : bytes-like
        row : int
            Number of the first one in the file.
        rows : int
            How many there are.

        Raises
        ------
        DataError
            A record has more or fewer fields than the header, or a cell is not of its column's type.
        ChangedError
            There are not so many records.
        """
        if self.dialect.encoding != "utf-8":
            data = self._recoded(bytes(data), row)
        try:
            table = self._read(data, self.types)
        except pa.ArrowInvalid as error:
            raise self._named(str(error), row) from error
        if table.num_rows != rows:
            raise ChangedError(
                f"{self.path}, rows from {row:,} on: {table.num_rows:,} records and not {rows:,}; the file was "
                "written to since it was opened, open it anew"
            )
        if self.whole and csvscan.zeros(data, *self.dialect.bytes):
            self._require_plain(self._read(data, dict.fromkeys(self.whole, pa.string())), row)
        return table

    def _read(self, data: Any, types: dict[str, Any]) -> Any:
        d = self.dialect
        return pc.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            pc.ReadOptions(column_names=self.names, use_threads=False, block_size=len(data) + 1),
            pc.ParseOptions(delimiter=d.delimiter, quote_char=d.quote or False, newlines_in_values=True),
            pc.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=d.missing,
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
                strings_can_be_null=True,
                decimal_point=d.decimal,
            ),
        )

    def _require_plain(self, cells: Any, row: int) -> None:
        """Refuse a leading zero in a column whose type was learned: with it among the rows looked at, it is text."""
        for name in self.whole:
            found = compute.index(compute.match_substring_regex(cells.column(name), r"^[ \t]*-?0[0-9]"), True).as_py()
            if found >= 0:
                value = cells.column(name)[found].as_py()
                raise DataError(
                    f"{self.path}, row {row + found:,} (from 0), column {name!r}: {value!r} begins with a zero, as "
                    "codes do and the rows that the column's type was learned from do not; in options, give its type, "
                    f"dtypes={{{name!r}: 'text'}}, or 'int64' to read it as a number"
                )

    def _recoded(self, data: bytes, row: int) -> bytes:
        try:
            return data.decode(self.dialect.encoding).encode()
        except UnicodeDecodeError as error:
            before, *_ = csvscan.walk(data[: error.start], csvscan.RECORD, *self.dialect.bytes)
            raise DataError(
                f"{self.path}, row {row + before:,} (from 0): byte {data[error.start]:#04x} is not "
                f"{self.dialect.encoding}; pass the encoding that the file was written in"
            ) from None

    def _named(self, message: str, row: int) -> DataError:
        """Return what to say of records from `row` on that Arrow refuses."""
        if ragged := _RAGGED.match(message):
            return self._ragged(int(ragged[3]), int(ragged[2]), ragged[4], row + int(ragged[1]) - 1)
        if cell := _CELL.match(message):
            return self._misfit(self.names[int(cell[1])], cell[3], cell[4], row + int(cell[2]) - 1)
        return DataError(f"{self.path}, rows from {row:,} on: cannot be read ({message})")

    def _ragged(self, found: int, expected: int, text: str, row: int) -> DataError:
        advice = ""
        if self.dialect.delimiter == "," and found > expected:
            advice = "; where commas are decimal marks, fields must be quoted or have another delimiter"
        return DataError(
            f"{self.path}, row {row:,} (from 0): has {found} fields and the header {expected}: "
            f"{text if len(text) <= 60 else f'{text[:57]}...'!r}; mend it{advice}"
        )

    def _misfit(self, name: str, kind: str, what: str, row: int) -> DataError:
        where = f"{self.path}, row {row:,} (from 0), column {name!r}"
        if "UTF8" in what:
            return DataError(f"{where}: is not UTF-8; pass the file's encoding in options, as encoding='latin-1'")
        value = (_VALUE.search(what) or [what, what])[1]
        word = _WORDS.get(kind, "text" if "string" in kind else "a date with time")
        wider = "float64" if re.fullmatch(r"\s*-?\d*[.]?\d+([eE][-+]?\d+)?\s*", value) and "int" in kind else "text"
        wider = "datetime" if "date32" in kind and re.match(r"\d{4}-\d{2}-\d{2}[ T]\d", value) else wider
        return DataError(
            f"{where}: {value!r} is not {word}, as the rows are that the column's type was learned from; in "
            f"options, give its type, dtypes={{{name!r}: {wider!r}}}, or name the value in na_values"
        )
