"""From rows to the maximum of a likelihood: where Newton's method begins, and its passes over the rows.

It begins with a sample of the rows, where there are many, and else with a pass that fits them by least squares.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.engines.threads import Threads
from streamreg.errors import DataError, StreamregError
from streamreg.families import family
from streamreg.line import Line
from streamreg.models.estimates import centred_line
from streamreg.models.newton import Maximum, maximise
from streamreg.models.passes import Ask, Climbing, drive, tolerant
from streamreg.models.sample import sample
from streamreg.problem import Solution
from streamreg.scans.run import Run
from streamreg.solve import cholesky
from streamreg.solve.conditioning import INDEX
from streamreg.sources.base import Source
from streamreg.stats.facts import Facts
from streamreg.stats.opening import OpeningMoments
from streamreg.stats.working import WorkingMoments

Float = NDArray[np.float64]

_NULL = 1e-6  # standard errors of its constant within which the null model is known: its deviance to the square
_ROUNDS = 20
_START = 0.05  # of a sample's standard errors: nearer to its maximum it tells no more of that of all rows
_EVENTS = 20  # in a sample, for each column
_SCANS = 4  # with fewer a start from a sample is not improved enough


@dataclass(frozen=True, slots=True)
class Climb:
    """How a likelihood was maximised.

    Attributes
    ----------
    found : Maximum
    facts : Facts
        Of all rows.
    null_deviance : float
        Of the model without columns: NaN where that has no mean.
    passes : int
        Over all rows.
    level : float
        Linear predictor of the model without columns, offsets not counted.
    """

    found: Maximum
    facts: Facts
    null_deviance: float
    passes: int
    level: float


@dataclass(frozen=True, slots=True)
class _Start:
    """Where Newton's method begins.

    Attributes
    ----------
    at : Line
        Without slopes.
    first : Line
        The step to where it begins.
    whitening : ndarray
    facts : Facts or None
        Of all rows; None: the first pass finds them.
    """

    at: Line
    first: Line
    whitening: Float
    facts: Facts | None


class _Reader:
    """Asks for sums at a predictor, and improves the null model by each: its mean, or its constant beside offsets."""

    def __init__(self, model: Any, label: str, design: Design, start: _Start) -> None:
        self.model, self.label, self.design = model, label, design
        self.null, self.facts, self.whitening, self.scan = start.at.at, start.facts, start.whitening, 0
        self.improving = model.intercept and any(role != "trials" for role, _ in design.beside)

    def __call__(self, at: Line, move: Line | None) -> Climbing[WorkingMoments]:
        self.scan += 1
        spelling = self.model.spelling
        mean = float(family(spelling).mean(np.array([self.null]))[0])
        frequency = self.model.weight_kind == "frequency" if self.facts is None else None
        names, device = self.design.names, self.model.device
        empty = WorkingMoments(names, spelling, at, mean, move, device, self.whitening, frequency)
        state: WorkingMoments
        (state,) = yield [Ask(empty, f"{spelling} step {self.scan} on")]
        if self.facts is None:
            self.facts = state.facts
            assert self.facts is not None
            level = level_of(self.model, self.label, self.design, self.facts)
            self.null = self.null if self.improving else level
        sums = state.likelihood()
        if self.improving and sums.null_information > 0:
            self.null += sums.null_score / sums.null_information
        return state


def climb(model: Any, source: Source, design: Design, run: Run) -> Climb:
    """Maximise the likelihood of a `Glm` over the rows.

    Raises
    ------
    DataError
        A target that the family cannot have, with its row, or one that is the same in every row.
    """
    start = _sampled(model, source, design, run)
    return drive(climbing(model, source.label, design, start), source, design, run)[0]


def climbing(model: Any, label: str, design: Design, start: _Start | None) -> Climbing[Climb]:
    """Maximise the likelihood of a `Glm`, from a sample's maximum or from the least-squares fit of one pass."""
    if start is not None:
        return (yield from _climbed(model, label, design, start, sparing=True))
    opened = yield from _opened(model, label, design)
    return (yield from _climbed(model, label, design, opened, sparing=False))


def climb_from(
    model: Any, source: Source, design: Design, run: Run, at: Line, level: float, whitening: Float, last: float
) -> Climb:
    """Maximise the likelihood of a `Glm`, beginning at a predictor that is near the maximum.

    `level` is the predictor of the model without columns, and `whitening` is of the columns; see `whitened`.
    `last` is the length of the step that led there, in standard errors.
    """
    start = Line(at.centre, np.zeros(len(at.coef)), level)
    begin = _Start(start, Line(at.centre, at.coef, at.at - level), whitening, None)
    return drive(_climbed(model, source.label, design, begin, sparing=True, last=last), source, design, run)[0]


def _climbed(
    model: Any,
    label: str,
    design: Design,
    start: _Start,
    *,
    sparing: bool,
    tolerance: float = 0.0,
    last: float = np.nan,
) -> Climbing[Climb]:
    read = _Reader(model, label, design, start)
    opened = int(start.facts is not None)
    found = yield from maximise(
        read,
        family(model.spelling),
        start.at,
        start.first,
        intercept=model.intercept,
        tolerance=tolerance or model.tolerance,
        iterations=max(model.max_iterations - opened, 1),
        sparing=sparing,
        ridge=model.ridge,
        last=last,
    )
    sums = found.state.likelihood()
    rounds = 0
    while read.improving and abs(sums.null_score) > _NULL * np.sqrt(sums.null_information) and rounds < _ROUNDS:
        sums = (yield from read(start.at, None)).likelihood()
        rounds += 1
    null = sums.null_deviance
    possible = null < 1e199 and not (read.improving and rounds == _ROUNDS)
    assert read.facts is not None
    return Climb(found, read.facts, null if possible else np.nan, opened + found.passes + rounds, read.null)


def level_of(model: Any, label: str, design: Design, facts: Facts) -> float:
    """Return the linear predictor of the model without columns, offsets not counted."""
    if not model.intercept:
        return 0.0
    kind, mean, name = family(model.spelling), facts.target_mean, design.names[-1]
    if kind.constant(mean):
        raise DataError(
            f"{label}: column {name!r} is {mean:g} in every row, so no {kind.name} fit has a finite "
            "intercept; check the column"
        )
    level = float(kind.linked(mean)) - facts.offset_mean
    if not np.isfinite(level):
        raise DataError(f"{label}: the mean {mean:g} of {name!r} has no {kind.link}; use another link")
    return level


def _opened(model: Any, label: str, design: Design) -> Climbing[_Start]:
    """Begin with the least-squares fit of one pass."""
    spelling, kind, names = model.spelling, family(model.spelling), design.names
    working = not model.intercept or any(role != "trials" for role, _ in design.beside)
    empty = OpeningMoments.of(names, spelling, working, model.device, model.weight_kind == "frequency")
    opening: OpeningMoments
    (opening,) = yield [Ask(empty, "scan")]
    level = level_of(model, label, design, opening.facts)
    problem = opening.problem(names[-1], None, model.intercept)
    solved = cholesky.solve(problem)
    whitening = whitened(solved)
    # From a model without slopes all rows have the same variance: the first Newton step is least squares.
    typical = np.array([opening.facts.target_mean])
    slope, information = (1.0, 1.0) if working else (float(f(typical)[0]) for f in (kind.slope, kind.information))
    if model.ridge:
        solved = cholesky.solve(problem.penalised(model.ridge / information))
    centre, (at, _) = centred_line(problem, slopes := solved.coef)
    if working:
        first = Line(centre, slopes, at - level)
    else:
        first = Line(centre, slopes / slope, (at - opening.facts.target_mean) / slope)
    return _Start(Line(centre, np.zeros(len(names) - 1), level), first, whitening, opening.facts)


def _sampled(model: Any, source: Source, design: Design, run: Run) -> _Start | None:
    """Begin with the fit to a sample of the rows; None where there are few rows, or that fit is not to be had.

    What is wrong with the sample need not be wrong with the rows: labels that it separates, or columns that it finds
    dependent. What is wrong with its rows the other start will find, in the order of the rows.
    """
    if model.max_iterations < _SCANS:
        return None
    try:
        part = sample(source, design, run)
        if part is None:
            return None
        here = replace(run, engine=Threads(run.engine.workers), progress=False, checkpoint=None)
        share = (part.schema.n_rows or 0) / (source.schema.n_rows or 1)
        return drive(tolerant(starting(model, part.label, design, share)), part, design, here)[0]
    except StreamregError:
        return None


def starting(model: Any, label: str, design: Design, share: float) -> Climbing[_Start | None]:
    """Fit a sample, a share of the rows, to begin there; return None if that is no place to begin."""
    fewer = model.model_copy(update={"ridge": model.ridge * share})  # a penalty for so many rows
    opened = yield from _opened(fewer, label, design)
    found = yield from _climbed(fewer, label, design, opened, sparing=False, tolerance=_START)
    at, solution = found.found.at, found.found.step.solution
    if found.found.status != "ok" or solution.rank < len(design.names) - 1:
        return None
    # Of labels and counts the information is about the number of events: from few of them a start is far off.
    if family(model.spelling).dispersion_known and found.found.step.problem.weight < _EVENTS * len(design.names):
        return None
    level = found.level
    start = Line(at.centre, np.zeros(len(at.coef)), level)
    return _Start(start, Line(at.centre, at.coef, at.at - level), whitened(solution), None)


def whitened(solved: Solution) -> Float:
    """Return the matrix that makes the columns of a solution of full rank orthonormal; or the scales of the columns.

    The matrix is for columns that nearly depend on each other: it costs as much as the information.
    """
    norms = np.ldexp(solved.scale, solved.exponent)
    if solved.condition > INDEX and solved.rank == len(norms):
        return np.asarray(np.linalg.cholesky(solved.inverse) / norms[:, None])
    return np.where(norms > 0, 1.0 / np.where(norms > 0, norms, 1.0), 0.0)
