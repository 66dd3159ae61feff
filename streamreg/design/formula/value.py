"""A formula as a value: what is explained by which terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from streamreg.design.formula.expressions import Expression, Name, expression, names


@dataclass(frozen=True, slots=True)
class Term:
    """A product of factors, times a number.

    Attributes
    ----------
    factors : tuple of Expression
    scale : float
    """

    factors: tuple[Expression, ...]
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula, parsed.

    Attributes
    ----------
    text : str
        As it was written.
    target : Expression or None
        What is explained; None for a formula of features alone.
    intercept : bool
    terms : tuple of Term
        Sorted by their number of factors, as R, patsy and formulaic do; otherwise as written.
    absorb : tuple of tuple of str
        What comes after ``|``: each is one column, or several whose combinations are the levels (``f2^f3``).
    dot : bool
        Whether ``.`` still stands for all other columns; see `grammar.parse`.
    """

    text: str
    target: Expression | None
    intercept: bool
    terms: tuple[Term, ...]
    absorb: tuple[tuple[str, ...], ...] = ()
    dot: bool = False

    def __str__(self) -> str:
        return self.text

    @property
    def factors(self) -> dict[str, Expression]:
        """The factors of all terms by their texts, each once."""
        return {factor.text: factor for term in self.terms for factor in term.factors}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read: those of the terms, of the target, then those that are absorbed."""
        found = [name for factor in self.factors.values() for name in names(factor)]
        found += [] if self.target is None else names(self.target)
        return tuple(dict.fromkeys([*found, *(name for part in self.absorb for name in part)]))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, from which nothing but this list of functions can come back."""
        return {
            "text": self.text,
            "target": None if self.target is None else quoted(self.target),
            "intercept": self.intercept,
            "terms": [[term.scale, [quoted(factor) for factor in term.factors]] for term in self.terms],
            "absorb": [list(part) for part in self.absorb],
            "dot": self.dot,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Undo `to_dict`."""
        target = values["target"]
        return cls(
            str(values["text"]),
            None if target is None else expression(target),
            bool(values["intercept"]),
            tuple(Term(tuple(map(expression, factors)), float(scale)) for scale, factors in values["terms"]),
            tuple(tuple(map(str, part)) for part in values["absorb"]),
            bool(values["dot"]),
        )


def quoted(found: Expression) -> str:
    """Return an expression's text, as it can be parsed again."""
    return f"`{found.text}`" if isinstance(found, Name) else found.text
