"""Least squares with absorbed factors: one pass, or two where little is left of a column within the levels."""

import dataclasses
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.design.leaving import Leaving
from streamreg.errors import DataError, UsageError
from streamreg.models.base import as_source, as_state
from streamreg.models.covariance import clusters
from streamreg.models.elimination import Eliminated, read, scanned
from streamreg.models.estimates import Origin, result
from streamreg.problem import Problem, Solution
from streamreg.results.absorbed import AbsorbedEffects
from streamreg.results.base import FitResult
from streamreg.scans.run import Run
from streamreg.solve import cholesky
from streamreg.solve.ladder import next_level
from streamreg.stats.chan import Centred
from streamreg.stats.levels.within import Within

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_LITTLE = 4.0  # what was summed over what is left, at which a second pass is worth it


def unsuited(model: Any) -> list[str]:
    """Return the options of a model that do not go with absorbed factors."""
    wrong = {
        "ridge": model.ridge,
        "precision='exact'": model.precision == "exact",
        "device": model.device,
        "intercept=False": not model.intercept,
        f"errors={model.errors!r}": model.errors in ("HC2", "HC3"),
    }
    return [name for name, given in wrong.items() if given]


def require_plain(model: Any, data: Any, moments: Any) -> None:
    """Refuse what does not go with absorbed factors.

    Raises
    ------
    UsageError
    """
    if model.singletons == "drop" and model.weight_kind == "frequency":
        raise UsageError("a row that occurred often is not alone; leave out singletons='drop', or the frequencies")
    of_moments = moments is not None or as_state(data) is not None
    for name in [*unsuited(model), *["moments"] * of_moments]:
        raise UsageError(f"absorbed factors do not go with {name}; leave out {name.partition('=')[0]}, or absorb")


def with_errors(model: Any, data: Any, moments: Any, run: Run, began: float) -> FitResult:
    """Fit a `Linear` with absorbed factors, and with the errors that it asks for; `began` is when that was."""
    require_plain(model, data, moments)
    fit, within, leaving = fit_absorbed(model, data, run)
    fit = dataclasses.replace(fit, seconds=time.perf_counter() - began)
    if model.errors == "classical":
        return fit
    from streamreg.models.robust import replaced

    return replaced(fit, data, model.errors, run, within, leaving=leaving)


def fit_absorbed(model: Any, data: Any, run: Run) -> tuple[FitResult, Within, Leaving | None]:
    """Fit a `Linear` with absorbed factors; also return what later passes take from the rows, and which they skip."""
    source = as_source(data, model.target)
    keys = tuple(dict.fromkeys((*model.absorb, *clusters(model.errors))))
    design = Design.of(source, model.features, model.missing, model.powers, keys).with_target()
    design, first, passes = read(design, source, model.absorb, run, model.singletons)
    problem = _problem(first, first.total, None)
    solution = _solved(problem)
    assert design.target is not None
    origin = Origin.of(first.state, design.target, source.label, passes, "float64", design.terms)
    last, effects = first, first.effects()
    wanted = model.digits, model.digits if model.digits > 10 else 6
    if model.precision == "auto" and next_level(solution, *wanted) != "float64" and _lost(problem):
        if source.one_pass:
            note = (
                f"{model.digits} digits take a second pass, as little is left of some columns within the levels, and "
                f"{source.label} can be read only once"
            )
            origin = dataclasses.replace(origin, note=note)
        else:
            last = scanned(design, source, model.absorb, run, first.within())
            problem = _problem(last, first.total, _spread(first.total))
            solution = _solved(problem)
            effects = [a + b for a, b in zip(effects, last.effects(), strict=True)]
            origin = dataclasses.replace(origin, passes=passes + 1)
    if origin.passes > passes or not _lost(problem):
        solution = _settled(problem, solution)
    solution = _named(solution, model.absorb)
    if model.singular == "error" and solution.dependencies:
        raise DataError(f"{origin.label}: dependent columns: {'; '.join(map(str, solution.dependencies))}")
    fit = result(model, problem, solution, origin)
    with np.errstate(over="ignore"):
        tss, within = (
            float(np.ldexp(v, 2 * int(part.exponent[-1])))
            for v, part in ((first.total.cross[-1, -1], first.total), (problem.cross[-1, -1], last.total))
        )
    absorbed = _effects(first, last, effects, np.nan_to_num(fit.coef), within)
    return dataclasses.replace(fit, tss=tss, absorbed=absorbed), first.within(effects), design.leaving


def _problem(last: Eliminated, total: Centred, spread: Float | None) -> Problem:
    """Pose the problem within levels, about the means of the first pass."""
    names, own = last.state.names, last.total
    if spread is None:
        spread = _spread(total)
    return Problem(
        names[:-1],
        names[-1],
        last.found.within,
        own.exponent,
        total.mean,
        last.state.n,
        own.weight,
        True,
        absorbed=last.found.df - 1,
        gross=np.diag(own.cross).copy(),
        spread=spread,
    )


def _spread(total: Centred) -> Float:
    return np.asarray(np.ldexp(np.sqrt(np.diag(total.cross)[:-1] / total.weight), total.exponent[:-1]))


def _solved(problem: Problem) -> Solution:
    with np.errstate(over="ignore", invalid="ignore"):
        return cholesky.solve(problem)


def _lost(problem: Problem) -> bool:
    """Say whether rows less their effects would give more digits."""
    assert problem.gross is not None
    return bool((problem.gross > _LITTLE * np.diag(problem.cross)).any())


def _settled(problem: Problem, solution: Solution) -> Solution:
    """Return a solution that is as certain as float64 can be: no exact pass follows that would tell more.

    Columns that others determine up to the rounding of float64 count as dependent; the digits are those of the rest.
    """
    if solution.status != "uncertain" or not len(solution.kept):
        return solution
    kept = solution.kept
    index = np.append(kept, len(problem.names))
    assert problem.gross is not None
    assert problem.spread is not None
    rest = _solved(
        dataclasses.replace(
            problem,
            names=tuple(problem.names[k] for k in kept),
            cross=problem.cross[np.ix_(index, index)],
            exponent=problem.exponent[index],
            mean=(problem.mean[0][index], problem.mean[1][index]),
            gross=problem.gross[index],
            spread=problem.spread[kept],
        )
    )
    if rest.status == "uncertain":
        return solution
    digits = np.full(len(problem.names), np.nan)
    digits[kept] = rest.digits
    digits[~solution.identifiable] = np.nan
    return dataclasses.replace(
        solution,
        digits=digits,
        digits_intercept=rest.digits_intercept,
        digits_se=rest.digits_se,
        digits_rss=rest.digits_rss,
        status="dependent",
    )


def _named(solution: Solution, factors: tuple[str, ...]) -> Solution:
    """Return the solution with dependencies that name the effects in place of a constant."""
    found = tuple(dataclasses.replace(d, constant=0.0, absorbed=factors) for d in solution.dependencies)
    return dataclasses.replace(solution, dependencies=found)


def _effects(first: Eliminated, last: Eliminated, effects: list[Float], coef: Float, tss: float) -> AbsorbedEffects:
    """Return the effects at the estimates, each factor's with mean zero over the rows."""
    values = []
    for weight, columns in zip(last.weights, effects, strict=True):
        own = columns[:, -1] - columns[:, :-1] @ coef
        values.append(own - float(weight @ own) / float(weight.sum()))
    found = last.found
    return AbsorbedEffects(
        names=np.array(last.state.factors),
        sizes=np.array([len(levels) for levels in last.levels], dtype=np.int64),
        levels=np.concatenate(last.levels),
        rows=np.concatenate(last.rows),
        texts=np.array(first.texts, dtype=np.str_),
        values=np.concatenate(values),
        df=found.df,
        exact=found.exact,
        joined=found.joined,
        tss=tss,
        method=found.method,
        products=found.products,
        residual=found.residual,
        dropped=first.dropped,
    )
