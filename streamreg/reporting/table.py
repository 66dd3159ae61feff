"""The one value that a result is shown by: text, HTML and data frames are made from it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from streamreg.reporting import tables


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
        What it is called in a data frame.
    header : str
        What is written above it.
    values : sequence
        Numbers and names, with all their digits.
    cells : sequence of str
        The same as they are shown.
    """

    name: str
    header: str
    values: Sequence[Any]
    cells: Sequence[str]

    @classmethod
    def of(
        cls, name: str, values: Iterable[Any], show: Callable[[Any], str] = str, header: str | None = None
    ) -> "Column":
        """Return a column whose values are shown by one function."""
        held = list(values)
        return cls(name, name if header is None else header, held, [show(value) for value in held])


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Table:
    """A title, facts, a table of columns, and notes. Print it; a notebook shows it as HTML.

    Attributes
    ----------
    title : str
    facts : sequence of (name, value)
    columns : sequence of Column
        Of equal length; the first one names the rows.
    notes : sequence of str
    foot : sequence of rows
        Cells of rows under the others, such as a total; data frames do not have them.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    columns: Sequence[Column]
    notes: Sequence[str] = ()
    foot: Sequence[Sequence[str]] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """What is written above the columns."""
        return tuple(column.header for column in self.columns)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells, row by row, without those of the foot."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

    def text(self) -> str:
        """Return the table as text."""
        return tables.render(self.title, self.facts, self.header, [*self.rows, *self.foot], self.notes)

    def html(self) -> str:
        """Return the table as HTML; every text is escaped."""
        from html import escape

        parts = ["<div class='streamreg'>", f"<p><b>{_lines(self.title)}</b></p>"]
        if self.facts:
            facts = "".join(_row([name, value], "th") for name, value in self.facts)
            parts.append(f"<table><tbody>{facts}</tbody></table>")
        if self.columns:
            cells = "".join(f"<th>{escape(name)}</th>" for name in self.header)
            rows = "".join(_row(row, "th") for row in [*self.rows, *self.foot])
            parts.append(f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>")
        parts += [f"<p>{_lines(note)}</p>" for note in self.notes]
        return "\n".join([*parts, "</div>"])

    def data(self) -> dict[str, Sequence[Any]]:
        """Return the columns by name, ready for a data frame."""
        return {column.name: column.values for column in self.columns}

    def to_frame(self) -> Any:
        """Return the columns as a data frame of pandas, or of polars where pandas is not installed.

        Raises
        ------
        MissingExtra
            Neither is installed.
        """
        from streamreg.reporting.frames import frame

        return frame(self.data())

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Table {self.title.splitlines()[0] if self.title else ''!r}: {len(self.rows)} rows>"

    def _repr_html_(self) -> str:
        return self.html()


def _row(cells: Sequence[str], first: str) -> str:
    from html import escape

    name, *rest = map(escape, cells)
    return f"<tr><{first}>{name}</{first}>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"


def _lines(text: str) -> str:
    from html import escape

    return "<br>".join(map(escape, text.splitlines()))
