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

    def table(self, levels: Levels, text: str, reduced: bool) -> tuple[Float, tuple[str, ...]]:
        """Return the numbers of each level, shape (levels, columns), and the names of the columns in brackets.

        `reduced`: one column less, as beside an intercept. The matrices are those of R (Chambers and Hastie 1992,
        *Statistical Models in S*, 2.3.2), as patsy and formulaic have them.
        """
        names, count = levels.names, len(levels)
        whole = np.eye(count)
        if not reduced or self.kind == "OneHot":
            return whole, tuple(f"[{name}]" for name in names)
        if count <= 1:
            return np.empty((count, 0)), ()
        if self.kind == "Treatment":
            base = self.base(levels, text)
            others = [k for k in range(count) if k != base]
            return whole[:, others], tuple(f"[T.{names[k]}]" for k in others)
        if self.kind == "Sum":
            whole[-1] = -1.0
            return whole[:, :-1], tuple(f"[S.{name}]" for name in names[:-1])
        steps = np.arange(1, count)
        after = np.arange(count)[:, None] >= steps
        if self.kind == "Helmert":
            own = np.arange(count)[:, None] == steps
            return np.where(own, steps, np.where(after, 0.0, -1.0)), tuple(f"[H.{name}]" for name in names[1:])
        return np.where(after, steps / count, steps / count - 1.0), tuple(f"[D.{name}]" for name in names[1:])
