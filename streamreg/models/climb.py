"""From rows to the maximum of a likelihood: the opening pass, and where Newton's method begins."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.errors import DataError
from streamreg.families import family
from streamreg.line import Line
from streamreg.models.estimates import centred_line
from streamreg.models.newton import Maximum, maximise
from streamreg.problem import Solution
from streamreg.scans.run import Run
from streamreg.solve import cholesky
from streamreg.solve.conditioning import INDEX
from streamreg.sources.base import Source
from streamreg.stats.opening import OpeningMoments
from streamreg.stats.working import WorkingMoments

Float = NDArray[np.float64]

_NULL = 1e-6  # standard errors of its constant within which the null model is known: its deviance to the square
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Climb:
    """How a likelihood was maximised.

    Attributes
    ----------
    found : Maximum
    opening : OpeningMoments
        What the pass before those of Newton's method found.
    null_deviance : float
        Of the model without columns: NaN where that has no mean.
    passes : int
    """

    found: Maximum
    opening: OpeningMoments
    null_deviance: float
    passes: int


class _Reader:
    """Scans at a predictor, with the null model's constant improved by each of them where rows have offsets."""

    def __init__(self, spelling: str, source: Source, design: Design, run: Run, null: float, **options: Any) -> None:
        self.source, self.design, self.run = source, design, run
        self.spelling, self.null, self.options, self.scan = spelling, null, options, 0

    def __call__(self, at: Line, move: Line | None) -> WorkingMoments:
        self.scan += 1
        mean = float(family(self.spelling).mean(np.array([self.null]))[0])
        state = WorkingMoments(self.design.names, self.spelling, at, mean, move, **self.options)
        return self.run.scan(self.source, self.design, state, f"{self.spelling} step {self.scan} on")


def climb(model: Any, source: Source, design: Design, run: Run) -> Climb:
    """Maximise the likelihood of a `Glm` over the rows.

    Raises
    ------
    DataError
        A target that the family cannot have, with its row, or one that is the same in every row.
    """
    spelling, facts, names = model.spelling, family(model.spelling), design.names
    p = len(names) - 1
    shifted = any(role != "trials" for role, _ in design.beside)
    working = shifted or not model.intercept
    opening = OpeningMoments.of(names, spelling, working, model.device, model.weight_kind == "frequency")
    opening = run.scan(source, design, opening, "scan")
    level = 0.0
    if model.intercept:
        mean = opening.target_mean
        if facts.constant(mean):
            raise DataError(
                f"{source.label}: column {names[-1]!r} is {mean:g} in every row, so no {facts.name} fit has a finite "
                "intercept; check the column"
            )
        level = float(facts.linked(mean)) - opening.offset_mean
        if not np.isfinite(level):
            raise DataError(f"{source.label}: the mean {mean:g} of {names[-1]!r} has no {facts.link}; use another link")
    problem = opening.problem(names[-1], None, model.intercept)
    solved = cholesky.solve(problem)
    whitening = _whitening(solved) if solved.condition > INDEX and solved.rank == p else None
    # From a model without slopes all rows have the same variance: the first Newton step is least squares.
    typical = np.array([opening.target_mean])
    slope, information = (1.0, 1.0) if working else (float(f(typical)[0]) for f in (facts.slope, facts.information))
    if model.ridge:
        solved = cholesky.solve(problem.penalised(model.ridge / information))
    centre, (at, _) = centred_line(problem, slopes := solved.coef)
    start = Line(centre, np.zeros(p), level)
    if working:
        first = Line(centre, slopes, at - level)
    else:
        first = Line(centre, slopes / slope, (at - opening.target_mean) / slope)
    read = _Reader(spelling, source, design, run, level, device=model.device, whitening=whitening)
    improving = shifted and model.intercept

    def improved(at: Line, move: Line | None) -> WorkingMoments:
        state = read(at, move)
        sums = state.likelihood()
        if improving and sums.null_information > 0:
            read.null += sums.null_score / sums.null_information
        return state

    found = maximise(
        improved,
        facts,
        start,
        first,
        intercept=model.intercept,
        tolerance=model.tolerance,
        iterations=max(model.max_iterations - 1, 1),
        ridge=model.ridge,
    )
    sums = found.state.likelihood()
    rounds = 0
    while improving and abs(sums.null_score) > _NULL * np.sqrt(sums.null_information) and rounds < _ROUNDS:
        sums = improved(start, None).likelihood()
        rounds += 1
    null = sums.null_deviance
    possible = null < 1e199 and not (improving and rounds == _ROUNDS)
    return Climb(found, opening, null if possible else np.nan, 1 + found.passes + rounds)


def _whitening(solved: Solution) -> Float:
    """Return the matrix that makes the columns of a solution of full rank orthonormal."""
    norms = np.ldexp(solved.scale, solved.exponent)
    return np.asarray(np.linalg.cholesky(solved.inverse) / norms[:, None])
