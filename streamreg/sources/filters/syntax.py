"""Texts that users write in a small part of Python's grammar: parsed with `ast`, of which only what is listed is taken.

Formulas and filters share this. Nothing is compiled or run.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamreg.errors import UsageError

ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.Mod: "%",
}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}

_QUOTED = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
PIECES = re.compile(rf"`[^`]*`|{_QUOTED}|\^")
"""Names in backquotes, texts, and the hat."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What the parts of a text are.

    Attributes
    ----------
    whole : str
        The text.
    marks : re.Pattern
        Of the names that stand for those in backquotes.
    quoted : list of str
        Names in backquotes.
    """

    whole: str
    marks: re.Pattern[str]
    quoted: list[str]

    def read(self, node: ast.expr) -> Any:
        """Return what a part means. Raises `UsageError` if it is not taken."""
        raise NotImplementedError

    def name(self, node: ast.Name) -> str:
        """Return the column that a name stands for."""
        found = self.marks.fullmatch(node.id)
        return self.quoted[int(found[1])] if found else node.id

    def constant(self, node: ast.expr) -> Any:
        """Return a number, text, truth value or None. Raises `UsageError` if it is none."""
        match node:
            case ast.Constant(value) if isinstance(value, bool | int | float | str | None):
                return value
            case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, ast.Constant(int() | float() as number)):
                return -number if isinstance(sign, ast.USub) else number
        raise self.refused(node, "is no constant")

    def text(self, node: ast.AST) -> str:
        """Return the text of a part, spaced as Python does."""
        return self.marks.sub(lambda found: f"`{self.quoted[int(found[1])]}`", ast.unparse(node))

    def refused(self, node: ast.AST, why: str) -> UsageError:
        """Return what to raise for a part."""
        return UsageError(f"{shown(self.whole)}: {shown(self.text(node))} {why}")


def parsed(text: str, reader: type[Reader], what: str, swaps: Mapping[str, str] | None = None) -> Any:
    """Parse a text, in which columns with any name stand in backquotes; return what a reader makes of its tree.

    Parameters
    ----------
    text : str
    reader : type of Reader
    what : str
        What the text should be, for messages: "an expression".
    swaps : mapping of str to str, optional
        Signs that are written otherwise in Python.

    Raises
    ------
    UsageError
        It cannot be parsed, or holds what the reader does not take.
    """
    mark = "q"
    while mark in text:
        mark += "q"
    quoted: list[str] = []

    def plain(match: re.Match[str]) -> str:
        piece = match.group()
        if piece[0] != "`":
            return (swaps or {}).get(piece, piece)
        quoted.append(piece[1:-1])
        return f" {mark}{len(quoted) - 1}{mark} "

    try:
        tree = ast.parse(PIECES.sub(plain, text).strip(), mode="eval").body
        return reader(text, re.compile(f"{mark}([0-9]+){mark}"), quoted).read(tree)
    except UsageError:
        raise
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{shown(text)} is not {what}: {getattr(error, 'msg', error)}") from None
    except (RecursionError, MemoryError):
        raise UsageError(f"{shown(text)} is too deeply nested") from None


def shown(text: str) -> str:
    """Return a text as errors show it."""
    return repr(text if len(text) <= 100 else f"{text[:97]}...")
