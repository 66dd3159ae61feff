"""How a delimited text is written: its delimiter, its header, what stands for a missing value."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamreg.errors import DataError, UsageError
from streamreg.kernels import csvscan

MISSING = (
    *("", " ", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "null"),
    *("None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""What stands for a missing value wherever it is a whole cell; as in pandas."""

DELIMITERS = ",;\t|"
_BOMS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
_NUMBER = re.compile(r"\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the files of a source are written.

    Attributes
    ----------
    delimiter : str
        One ASCII character.
    quote : str or None
        One ASCII character around fields that hold delimiters or newlines; None: quotes are plain characters.
    encoding : str
        UTF-8, or an encoding of single bytes that begins with ASCII.
    decimal : str
        The mark between a number's whole part and its decimals.
    missing : tuple of str
    """

    delimiter: str = ","
    quote: str | None = '"'
    encoding: str = "utf-8"
    decimal: str = "."
    missing: tuple[str, ...] = MISSING

    def __post_init__(self) -> None:
        for option, value in (("delimiter", self.delimiter), ("quote", self.quote), ("decimal", self.decimal)):
            one = isinstance(value, str) and len(value) == 1 and value.isascii() and value not in "\r\n"
            if not one and not (option == "quote" and value is None):
                raise UsageError(f"{option}={value!r}; it must be one ASCII character")
        if len({self.delimiter, self.quote, self.decimal}) < 3:
            raise UsageError(
                f"delimiter={self.delimiter!r}, quote={self.quote!r} and decimal={self.decimal!r}: no two can "
                "be the same"
            )
        if not isinstance(self.missing, tuple) or not all(isinstance(text, str) for text in self.missing):
            raise UsageError("na_values must be texts, as in na_values=['-', '?']")
        try:
            plain = bytes(range(128)).decode(self.encoding) == bytes(range(128)).decode("ascii")
            single = len(bytes(range(256)).decode(self.encoding, "replace")) == 256
            utf8 = codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")
        except (LookupError, TypeError, UnicodeError):
            raise UsageError(f"encoding={self.encoding!r} is not known; it can be 'utf-8', 'latin-1', ...") from None
        if utf8:
            object.__setattr__(self, "encoding", "utf-8")
        elif not (plain and single):
            raise UsageError(
                f"encoding={self.encoding!r}: only UTF-8 and encodings of single bytes can be read in ranges; "
                f"convert the file, as with iconv -f {self.encoding} -t UTF-8"
            )

    @property
    def bytes(self) -> tuple[int, int]:
        """Return delimiter and quote as numbers; -1 for no quote."""
        return ord(self.delimiter), -1 if self.quote is None else ord(self.quote)

    def records(self, text: str) -> Iterator[list[str]]:
        """Yield the fields of each record of a text, up to one that Python's csv cannot read; blank lines are none."""
        quoting: Literal[0, 3] = csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL
        lines = io.StringIO(text, newline="")
        try:
            yield from filter(None, csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, quoting=quoting))
        except csv.Error:  # a field of more than 131,072 characters
            return

    def fields(self, record: str) -> list[str]:
        """Return the fields of one record."""
        return next(self.records(record), [])


def missing(na_values: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the usual texts for missing values and those of a caller."""
    if na_values is None:
        return MISSING
    return (*MISSING, *((na_values,) if isinstance(na_values, str) else na_values))


def sniffed(path: Path, head: bytes, quote: str | None) -> str:
    """Return the delimiter of a text from its first bytes: what cuts the first records into the most equal parts."""
    if ".tsv" in path.suffixes or ".tab" in path.suffixes:
        return "\t"
    best, most = ",", 1
    text = head.decode("latin-1")
    for delimiter in DELIMITERS:
        dialect = Dialect(delimiter, quote, decimal="." if delimiter != "." else ",")
        widths: list[int] = []
        at = 0
        while len(widths) < 20:
            records, end, _ = csvscan.walk(head[at:], csvscan.RECORD, *dialect.bytes, 1)
            if not records and (widths or at + end < len(head)):
                break
            widths.append(len(dialect.fields(text[at : at + end])))
            at += end
            if not records:
                break
        if widths and widths[0] > most and widths.count(widths[0]) == len(widths):
            best, most = delimiter, widths[0]
    return best


def bom(path: str, head: bytes) -> int:
    """Return the length of a byte order mark of UTF-8; refuse other ones."""
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            raise DataError(f"{path}: is {name}; convert it, as with iconv -f {name} -t UTF-8")
    return 3 if head.startswith(codecs.BOM_UTF8) else 0


def is_header(fields: list[str]) -> bool:
    """Return whether some field is no number."""
    return not all(_NUMBER.fullmatch(field) for field in fields)
