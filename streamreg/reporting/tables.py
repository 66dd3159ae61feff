"""Plain-text tables for terminals and logs."""

from collections.abc import Sequence
from io import StringIO

Row = Sequence[str]

_WIDEST = 160  # characters, unless the numbers need more
_NAME = 24  # characters of a name that are always shown


def render(
    title: str, facts: Sequence[tuple[str, str]], header: Row, rows: Sequence[Row], notes: Sequence[str] = ()
) -> str:
    """Draw a title, pairs of facts in two columns, a table, and notes under it.

    Parameters
    ----------
    title : str
    facts : sequence of (name, value)
    header, rows
        The first column is aligned left, the others right. Long names in the first are cut, never the numbers.
    notes : sequence of str
        One line each; long ones are wrapped.
    """
    from rich import box
    from rich.cells import cell_len, set_cell_size
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    header, *rows = [tuple(map(_printable, row)) for row in (header, *rows)]
    columns = [max(map(cell_len, column)) + 4 for column in zip(header, *rows, strict=True)]
    if sum(columns) + 2 > _WIDEST:
        room = max(_NAME, _WIDEST - 2 - 4 - sum(columns[1:]))
        rows = [
            (name if cell_len(name) <= room else set_cell_size(name, room - 1) + "…", *rest) for name, *rest in rows
        ]
        columns[0] = min(columns[0], room + 4)
    width = max(72, sum(columns) + 2)
    out = StringIO()
    # In a notebook rich would display what is printed, and leave the file empty.
    console = Console(
        file=out,
        width=width,
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
        force_jupyter=False,
    )
    console.print(Text(title, justify="center"))
    if facts:
        grid = Table(box=box.HORIZONTALS, show_header=False, expand=True, pad_edge=False)
        for align in ("left", "right", "left", "right"):
            grid.add_column(justify=align, no_wrap=False)
        half = (len(facts) + 1) // 2
        for left, right in zip(facts[:half], [*facts[half:], ("", "")], strict=False):
            grid.add_row(*map(Text, (*left, *right)))
        console.print(grid)
    if header:
        table = Table(box=box.HORIZONTALS if not facts else box.SIMPLE_HEAD, expand=True, pad_edge=False)
        for k, name in enumerate(header):
            table.add_column(Text(name), justify="left" if k == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for note in notes:
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _printable(text: str) -> str:
    """Return `text` without what would break a line of the table: line ends, tabs, escapes, joiners."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
