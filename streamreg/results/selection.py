"""What `Penalised` and `Subsets` return: candidates that differ by a penalty, or by their columns."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError, typed
from streamreg.results.base import FitResult
from streamreg.results.path import Candidates

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PenaltyPath(Candidates):
    """A path of penalties, the strongest first.

    Attributes
    ----------
    coef, intercept, rss, df, ...
        One for each of the m candidates: see `streamreg.results.path.Candidates`.
    alphas : ndarray of shape (m,)
        Falling; in scikit-learn's convention, see `Penalised`.
    lambda_max : float
        The least alpha at which all slopes are zero; infinite for ridge.
    """

    KIND: ClassVar[str] = "penalty path"

    alphas: Float
    lambda_max: float

    @typed
    def at(self, alpha: float) -> FitResult:
        """Return the line at one of the path's penalties.

        Raises
        ------
        UsageError
            `alpha` is not on the path.
        """
        k = int(np.argmin(np.abs(self.alphas - alpha)))
        if not np.isclose(self.alphas[k], alpha, rtol=1e-9, atol=0.0):
            raise UsageError(
                f"alpha {alpha:g} is not on this path (nearest: {self.alphas[k]:.10g}); fit with alphas=({alpha:g},)"
            )
        return self.candidate(k)

    @typed
    def label(self, k: int) -> str:
        """Return the penalty of a candidate."""
        return f"alpha {self.alphas[self._place(k)]:.6g}"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Selection(Candidates):
    """Subsets of the features, the smallest first.

    Attributes
    ----------
    coef, intercept, rss, df, ...
        One for each of the m candidates: see `streamreg.results.path.Candidates`.
    included : bool ndarray of shape (m, p)
        Which features each has.
    """

    KIND: ClassVar[str] = "subsets"

    included: NDArray[np.bool_]

    @typed
    def features(self, k: int | None = None) -> tuple[str, ...]:
        """Return the features of one candidate (default: `best`), ready for ``sr.Linear(features=...)``."""
        subset = self.included[self._place(k)]
        return tuple(name for name, used in zip(self.names, subset, strict=True) if used)

    @typed
    def label(self, k: int) -> str:
        """Return the size of a candidate and some of its features."""
        names = self.features(k)
        text = " ".join(names[:4]) + (" ..." if len(names) > 4 else "")
        return f"{len(names)}: {text}" if names else "0: none"
