"""Tables of cells as text that other programs set: LaTeX, Markdown, HTML, Typst."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from streamreg.reporting import tables

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells, of equal length; the first column names them.

    Attributes
    ----------
    head : sequence of rows
        What is above the rule.
    blocks : sequence of sequences of rows
        With a rule between two of them.
    notes : sequence of str
    """

    head: Sequence[Row]
    blocks: Sequence[Sequence[Row]]
    notes: Sequence[str] = ()


def text(grid: Grid) -> str:
    """Return plain text, no wider than the terminal."""
    first, *more = grid.head
    blank = [""] * len(first)
    rows = [*more]
    for block in grid.blocks:
        rows += [blank, *block] if rows else block
    return tables.render("", [], first, rows, grid.notes).strip("\n")


def markdown(grid: Grid) -> str:
    """Return a table of Markdown with pipes; it has one line of heads, which the others follow in bold."""

    def line(row: Row) -> str:
        return f"| {' | '.join(row)} |"

    first, *more = [[_markdown(cell) for cell in row] for row in grid.head]
    lines = [line(first), line(["---", *["---:"] * (len(first) - 1)])]
    lines += [line([f"**{cell}**" if cell else "" for cell in row]) for row in more]
    lines += [line([_markdown(cell) for cell in row]) for block in grid.blocks for row in block]
    return "\n".join([*lines, *(f"\n{_markdown(note)}" for note in grid.notes)])


def html(grid: Grid) -> str:
    """Return a table of HTML; every text is escaped."""

    def row(cells: Row, head: bool) -> str:
        name, *rest = map(escape, cells)
        kind = "th" if head else "td"
        parts = "".join(f"<{kind} style='text-align:right'>{cell}</{kind}>" for cell in rest)
        return f"<tr><th style='text-align:left'>{name}</th>{parts}</tr>"

    parts = ["<table class='streamreg'>", "<thead>", *(row(cells, True) for cells in grid.head), "</thead>"]
    for block in grid.blocks:
        parts += ["<tbody>", *(row(cells, False) for cells in block), "</tbody>"]
    if grid.notes:
        notes = "<br>".join(map(escape, grid.notes))
        parts.append(f"<tfoot><tr><td colspan='{len(grid.head[0])}'>{notes}</td></tr></tfoot>")
    return "\n".join([*parts, "</table>"])


def latex(grid: Grid) -> str:
    r"""Return a tabular of LaTeX with the rules of booktabs (``\usepackage{booktabs}``)."""

    def line(row: Row) -> str:
        return f"{' & '.join(map(_latex, row))} \\\\"

    columns = len(grid.head[0])
    lines = [f"\\begin{{tabular}}{{l{'r' * (columns - 1)}}}", "\\toprule", *map(line, grid.head)]
    for block in grid.blocks:
        lines += ["\\midrule", *map(line, block)]
    lines += ["\\bottomrule"]
    for note in grid.notes:
        lines.append(f"\\multicolumn{{{columns}}}{{p{{0.9\\linewidth}}}}{{\\footnotesize {_latex(note)}}} \\\\")
    return "\n".join([*lines, "\\end{tabular}"])


def typst(grid: Grid) -> str:
    """Return a table of Typst."""

    def line(row: Row) -> str:
        return f"  {', '.join(f'[{_typst(cell)}]' for cell in row)},"

    columns = len(grid.head[0])
    lines = [
        "#table(",
        f"  columns: {columns},",
        "  stroke: none,",
        "  align: (x, _) => if x == 0 { left } else { right },",
    ]
    lines += ["  table.hline(),", *map(line, grid.head)]
    for block in grid.blocks:
        lines += ["  table.hline(stroke: 0.5pt),", *map(line, block)]
    lines += ["  table.hline(),"]
    lines += [f"  table.cell(colspan: {columns}, align: left)[#text(0.8em)[{_typst(note)}]]," for note in grid.notes]
    return "\n".join([*lines, ")"])


FORMATS: dict[str, Callable[[Grid], str]] = {
    "text": text,
    "md": markdown,
    "html": html,
    "tex": latex,
    "typst": typst,
}
"""Formats by their names: the suffixes of their files."""

_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
        ">": r"\textgreater{}", "|": r"\textbar{}", "−": "$-$"}  # fmt: skip


def _latex(cell: str) -> str:
    if re.fullmatch(r"-?[\d.,]+(e[-+]\d+)?\**", cell):
        return cell.replace("-", "$-$", 1) if cell.startswith("-") else cell
    return "".join(_TEX.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in " ".join(cell.split()))


def _markdown(cell: str) -> str:
    return re.sub(r"([\\`*_<>|\[\]~])", r"\\\1", " ".join(cell.split()))


def _typst(cell: str) -> str:
    return re.sub(r"([\\#$*_`<>@\[\]~/=\-+])", r"\\\1", " ".join(cell.split()))
