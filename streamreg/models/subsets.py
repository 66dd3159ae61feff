"""Which columns to keep: all subsets, forward, backward, or a list of candidates, from one scan."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from streamreg.errors import NotFound, UsageError, nearest
from streamreg.models.candidates import Choice
from streamreg.problem import Problem
from streamreg.results.selection import Selection
from streamreg.solve import best_subsets, subsets
from streamreg.solve.choice_digits import line_digits
from streamreg.solve.scaled import Scaled
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


class Subsets(Choice[Selection]):
    """Least squares on subsets of the features, one of each size, or those of a list.

    Parameters
    ----------
    method : {"best", "forward", "backward"}
        "best": the subset with the least residual sum of each size, found by branch and bound; up to 30 features.
        "forward": add the column that lowers the residual sum most; "backward": drop the one that raises it least.
    size : int, optional
        Features at most; default: all.
    keep : tuple of str
        Features that every subset holds.
    candidates : tuple of tuples of str, optional
        Subsets to compare; nothing is searched for.
    intercept, features, target, missing, weight_kind
        As in `sr.Linear`.

    Notes
    -----
    No subset holds columns that depend on each other by the rank rule, or constant ones. The best subset is sought
    among all that do not; backward elimination begins without the later ones of dependent columns, and forward
    selection leaves out whichever comes second. With fewer rows than columns, no subset has more columns than there are
    degrees of freedom. Standard errors of a chosen model ignore that it was chosen: for those of its columns alone,
    ``sr.Linear(features=selection.features()).fit(moments)``.
    """

    method: Literal["best", "forward", "backward"] = "best"
    size: Annotated[int, Field(ge=0)] | None = None
    keep: tuple[str, ...] = ()
    candidates: tuple[tuple[str, ...], ...] | None = None

    def _fit(self, problem: Problem, moments: Moments) -> Selection:
        scaled = Scaled.of(problem)
        doubtful = np.zeros(0, dtype=bool)
        if self.candidates is not None:
            included = self._listed(problem.names)
        else:
            included, doubtful = self._search(scaled)
        coef = subsets.refit(scaled, included)
        df = included.sum(axis=1).astype(np.float64)
        if self.candidates is not None:
            df = np.array([_rank(scaled, subset) for subset in included])
        digits = [line_digits(scaled, *line) for line in zip(coef, included, strict=True)]
        found = self._common(scaled, moments, coef, df, digits)
        most = min(int(scaled.live.sum()), self.size or len(problem.names), problem.n - problem.intercept)
        if self.candidates is None and included[-1].sum() < most:
            found["status"] = "dependent"
        if doubtful.any():
            size = int(included[np.argmax(doubtful)].sum())
            found["status"] = (
                f"rounding leaves open which subset of {size} features is best: columns depend on each other so nearly "
                "that float64 moments do not tell"
            )
        return Selection(**found, included=included)

    def _again(self, problem: Problem, found: Selection) -> Float:
        scaled = Scaled.of(problem)
        if self.candidates is not None:
            return subsets.refit(scaled, found.included)
        again, _ = self._search(scaled)
        # The same sizes; where other rows have fewer independent columns, the largest subset stands for the rest.
        match = np.searchsorted(again.sum(axis=1), found.included.sum(axis=1))
        return subsets.refit(scaled, again[np.minimum(match, len(again) - 1)])

    def _search(self, scaled: Scaled) -> tuple[Bool, Bool]:
        """Return subsets of growing size, and of which rounding leaves open whether another is better."""
        names = scaled.problem.names
        keep = _members(names, self.keep, "keep")
        size = len(names) if self.size is None else self.size
        if size < keep.sum():
            raise UsageError(f"size is {size}, but keep names {keep.sum()} features; raise size")
        if self.method == "best":
            if len(names) > best_subsets.LIMIT:
                raise UsageError(
                    f"best subset of {len(names)} features would take too long; up to {best_subsets.LIMIT}, "
                    "choose features first, or use method='forward' or sr.Penalised"
                )
            return best_subsets.best(scaled, size, keep)
        if self.method == "forward":
            found = subsets.forward(scaled, size, keep)
        else:
            found = subsets.backward(scaled, keep)
            found = found[found.sum(axis=1) <= size]
        return found, np.zeros(len(found), dtype=bool)

    def _listed(self, names: tuple[str, ...]) -> Bool:
        assert self.candidates is not None
        if not self.candidates:
            raise UsageError("candidates is empty; leave it out to search, or name subsets")
        listed = np.array([_members(names, (*self.keep, *subset), "candidates") for subset in self.candidates])
        return listed[np.argsort(listed.sum(axis=1), kind="stable")]


def _members(names: tuple[str, ...], wanted: tuple[str, ...], option: str) -> Bool:
    for name in wanted:
        if name not in names:
            raise NotFound(f"{option}: no feature {name!r}{nearest(name, names)}")
    return np.array([name in wanted for name in names], dtype=bool)


def _rank(scaled: Scaled, subset: Bool) -> float:
    return float(subsets.independent(scaled, subset)[1][subset].sum())
