"""Plain-text tables for terminals and logs."""

import re
import shutil
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import zip_longest

Row = Sequence[str]

_NARROW, _USUAL, _WIDEST = 40, 72, 160  # characters
_NAME = 16  # characters of a name that are shown in any case
_GAP = 2  # between columns
_POINTED = re.compile(r"[-+]?[\d,]+(\.\d+)?")


def width() -> int:
    """Return how wide text may be: as the terminal, or 80 characters where there is none; COLUMNS overrides it."""
    return min(_WIDEST, max(_NARROW, shutil.get_terminal_size((80, 24)).columns))


def wrapped(text: str) -> str:
    """Return lines no wider than `width`; those that are tables stay as they are."""
    from textwrap import wrap

    lines = text.splitlines()
    if len(lines) != 1 or _cells(text) <= width():
        return text
    return "\n".join(wrap(text, width(), break_long_words=False, break_on_hyphens=False))


def render(
    title: str, facts: Sequence[tuple[str, str]], header: Row, rows: Sequence[Row], notes: Sequence[str] = ()
) -> str:
    """Draw a title, pairs of facts in two columns, a table, and notes under it, no wider than `width`.

    Parameters
    ----------
    title : str
    facts : sequence of (name, value)
    header, rows
        The first column is aligned left, the others at the decimal point where there is room. Long names in the first
        are shortened in the middle, never the numbers: columns for which there is no room follow below.
    notes : sequence of str
        One line each; long ones are wrapped.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = list(zip(*[tuple(map(_printable, row)) for row in (header, *rows)], strict=True))
    limit = width()
    gap = _GAP if _natural([_shortened(columns[0], _NAME), *columns[1:]] if columns else []) <= limit else 1
    parts = list(_parts(columns, limit, gap))
    wide = max((_natural(part, gap + 2) for part in parts), default=0)
    wide = min(limit, max(_USUAL, wide))
    out = StringIO()
    # In a notebook rich would display what is printed, and leave the file empty.
    console = Console(
        file=out,
        width=wide,
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
        force_jupyter=False,
    )
    console.print(Text(title, justify="center"))
    if facts:
        grid = Table(box=box.HORIZONTALS, show_header=False, expand=True, pad_edge=False)
        half = (len(facts) + 1) // 2 if wide >= _USUAL else len(facts)
        for align in ("left", "right", "left", "right") if wide >= _USUAL else ("left", "right"):
            grid.add_column(justify=align, no_wrap=False)
        for left, right in zip_longest(facts[:half], facts[half:], fillvalue=("", "")):
            grid.add_row(*map(Text, (*left, *right) if wide >= _USUAL else left))
        console.print(grid)
    for k, part in enumerate(parts):
        lined = not facts or k > 0  # a rule above and below, where no facts have them
        print("\n".join(_drawn(part, wide, gap, lined)), file=out)
    for note in notes:
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _parts(columns: Sequence[Row], limit: int, gap: int) -> Iterator[list[Row]]:
    """Yield columns that fit beside each other, the first one before all, with its names as short as need be."""
    if not columns:
        return
    names, *rest = columns
    shown = [_aligned(column) for column in rest]
    if _natural([_shortened(names, _NAME), *shown], gap) > limit:
        shown = list(rest)
    start = 0
    while start < len(shown) or start == 0:
        stop = len(shown)
        while stop > start + 1 and _natural([_shortened(names, _NAME), *shown[start:stop]], gap) > limit:
            stop -= 1
        here = shown[start:stop]
        yield [_shortened(names, max(_NAME, limit - _natural([[""], *here], gap))), *here]
        start = max(stop, 1)


def _natural(columns: Sequence[Row], gap: int = _GAP) -> int:
    """Return the width of columns beside each other, and of a blank at each end."""
    return sum(max(map(_cells, column), default=0) for column in columns) + gap * (len(columns) - 1) + 2


def _drawn(columns: Sequence[Row], wide: int, gap: int, lined: bool) -> Iterator[str]:
    """Yield the lines of columns, which what is left of the width is shared among."""
    sizes = [max(map(_cells, column)) for column in columns]
    spare = max(0, wide - _natural(columns, gap))
    for k in range(1, len(sizes)):
        share, rest = divmod(spare, len(sizes) - 1)
        sizes[k] += share + (k <= rest)
    rule = " " + "─" * (wide - 2)
    yield rule if lined else ""
    for number, (name, *cells) in enumerate(zip(*columns, strict=True)):
        padded = [" " * (size - _cells(cell)) + cell for size, cell in zip(sizes[1:], cells, strict=True)]
        yield (" " * gap).join([" " + name + " " * (sizes[0] - _cells(name)), *padded])
        if number == 0:
            yield rule
    yield rule if lined else ""


def _aligned(column: Row) -> Row:
    """Return the cells of a column with blanks after numbers, so that their points are below each other."""
    header, *cells = column
    after = [len(m[1] or "") if (m := _POINTED.fullmatch(cell)) else None for cell in cells]
    most = max((count for count in after if count is not None), default=0)
    return [header, *(c if k is None else c + " " * (most - k) for c, k in zip(cells, after, strict=True))]


def _shortened(names: Row, room: int) -> Row:
    """Return names of at most so many characters: of long ones the middle is left out."""
    from rich.cells import set_cell_size

    def short(name: str) -> str:
        if _cells(name) <= room:
            return name
        head = (room - 1) - (room - 1) // 2
        tail = name[::-1]
        return set_cell_size(name, head).rstrip() + "…" + set_cell_size(tail, room - 1 - head)[::-1].lstrip()

    return [short(name) for name in names]


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return len(text) if text.isascii() else cell_len(text)


def _printable(text: str) -> str:
    """Return `text` without what would break a line of the table: line ends, tabs, escapes, joiners."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
