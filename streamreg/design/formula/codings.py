"""Codings of categories: what number each level has in each column of a category."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.levels import Levels

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coding:
    """A coding and its reference.

    Attributes
    ----------
    kind : str
        One of `functions.CODINGS`.
    reference : str, int, float, bool or None
        The level that the others are compared with; None: the first one, of sum coding the last one.
    """

    kind: str = "Treatment"
    reference: Any = None

    def base(self, levels: Levels, text: str) -> int:
        """Return where the reference stands among the levels."""
        if self.reference is not None:
            return levels.place(self.reference, text)
        return len(levels) - 1 if self.kind == "Sum" else 0

    def kept(self, levels: Levels, text: str, reduced: bool) -> NDArray[np.intp] | None:
        """Return the levels that have a column of their own, which is 1 for them and 0 for others.

        None: columns are of other numbers. `reduced`: one column less, as beside an intercept.
        """
        count = len(levels)
        if not reduced or self.kind == "OneHot":
            return np.arange(count)
        if self.kind == "Treatment" or count <= 1:
            return np.delete(np.arange(count), self.base(levels, text)) if count else np.arange(0)
        return None

    def names(self, levels: Levels, text: str, reduced: bool) -> tuple[str, ...]:
        """Return the names of the columns, in brackets."""
        names, kept = levels.names, self.kept(levels, text, reduced)
        if kept is None:
            others = names[:-1] if self.kind == "Sum" else names[1:]
            return tuple(f"[{self.kind[0]}.{name}]" for name in others)
        mark = "T." if len(kept) < len(names) else ""
        return tuple(f"[{mark}{names[k]}]" for k in kept)

    def table(self, levels: Levels, text: str, reduced: bool) -> Float:
        """Return the numbers of each level, shape (levels, columns).

        The matrices are those of R (Chambers and Hastie 1992, *Statistical Models in S*, 2.3.2), as patsy and formulaic
        have them.
        """
        count, kept = len(levels), self.kept(levels, text, reduced)
        if kept is not None:
            return np.eye(count)[:, kept]
        if self.kind == "Sum":
            whole = np.eye(count)
            whole[-1] = -1.0
            return whole[:, :-1]
        steps = np.arange(1, count)
        after = np.arange(count)[:, None] >= steps
        if self.kind == "Helmert":
            own = np.arange(count)[:, None] == steps
            return np.where(own, steps, np.where(after, 0.0, -1.0))
        return np.where(after, steps / count, steps / count - 1.0)
