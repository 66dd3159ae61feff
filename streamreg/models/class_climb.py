"""From rows to the maximum of a likelihood of classes: Newton's method, one pass over the rows for each step."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.columns import text_key
from streamreg.design.design import Design
from streamreg.engines.threads import Threads
from streamreg.errors import DataError, StreamregError, UsageError
from streamreg.families.classes import ClassLikelihood
from streamreg.kernels.blas import one_thread
from streamreg.models.newton import FAR, direction
from streamreg.models.sample import sample
from streamreg.scans.run import Run
from streamreg.solve import cholesky
from streamreg.solve.digits import EPS
from streamreg.sources.base import Source
from streamreg.stats.class_sums import ClassOpening, ClassSums

Float = NDArray[np.float64]

_SLACK = 1e-10  # relative fall of the likelihood that rounding may cause
_PARALLEL = 1e-6  # share of a move that rows may oppose although it separates them
_SLOW = 0.02  # of the probit link such moves become shorter
_LOST = 1e-12  # relative eigenvalues of the information below this are rounding
_START = 0.05  # standard errors of a sample within which its maximum is near enough
_EVENTS = 10  # rows of each class in a sample, for each column
_MOST = 4000  # parameters


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a target, and the columns that explain them.

    Attributes
    ----------
    keys : int64 ndarray of shape (K,)
    names : tuple of str
    centre, scale : ndarray of shape (p,)
        Means of the columns, and one over their spread.
    kept : int ndarray
        Columns that do not depend on others.
    dependencies : tuple of str
    """

    keys: NDArray[np.int64]
    names: tuple[str, ...]
    centre: Float
    scale: Float
    kept: NDArray[np.intp]
    dependencies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summit:
    """Where Newton's method ended.

    Attributes
    ----------
    classes : Classes
    likelihood : ClassLikelihood
    at : ndarray of shape (q,)
        The maximum, as far as it is known.
    inverse : ndarray of shape (q, q)
        Of the information; NaN where it is not known.
    state : ClassSums
        At the step before the last.
    log_lik : float
        At the maximum.
    remainder : float
        Bound of the distance to the maximum, in standard errors.
    rounding : float
        What rounding may add to it.
    passes : int
        Over all rows.
    status : str
    """

    classes: Classes
    likelihood: ClassLikelihood
    at: Float
    inverse: Float
    state: ClassSums
    log_lik: float
    remainder: float
    rounding: float
    passes: int
    status: str


def climb(model: Any, source: Source, design: Design, run: Run) -> Summit:
    """Maximise the likelihood of `Multinomial` or `Ordered` over the rows.

    Raises
    ------
    DataError
        There is one class only, one that was named has no row, or a row is of one that was not.
    """
    start = _sampled(model, source, design, run)
    if start is not None:
        found = _climbed(model, source, design, run, start.classes, start.at, sparing=True)
        if found is not None:
            return found
    lost = int(start is not None)  # a pass that met classes which the sample does not have
    opening = run.scan(source, design, ClassOpening((*design.names, model.target)), "scan")
    classes = _classes(model, source, design, opening)
    share = np.array([opening.of_class[int(key)] for key in classes.keys], np.float64)
    likelihood = model.likelihood(classes)
    found = _climbed(model, source, design, run, classes, likelihood.start(share), sparing=False)
    assert found is not None
    return replace(found, passes=found.passes + 1 + lost)


def _sampled(model: Any, source: Source, design: Design, run: Run) -> Summit | None:
    """Return the fit to a sample of the rows; None where there are few rows, or it would be no good start."""
    if model.max_iterations < 4:
        return None
    try:
        part = sample(source, design, run)
        if part is None:
            return None
        here = replace(run, engine=Threads(run.engine.workers), progress=False, checkpoint=None)
        opening = here.scan(part, design, ClassOpening((*design.names, model.target)), "sample of")
        classes = _classes(model, part, design, opening)
        counts = np.array([opening.of_class[int(key)] for key in classes.keys], np.float64)
        if len(classes.kept) < len(classes.centre) or counts.min() < _EVENTS * (len(classes.centre) + 1):
            return None
        start = model.likelihood(classes).start(counts)
        found = _climbed(model, part, design, here, classes, start, sparing=False, tolerance=_START)
    except StreamregError:
        return None
    return found if found is not None and found.status == "ok" else None


def _classes(model: Any, source: Source, design: Design, opening: ClassOpening) -> Classes:
    """Return the classes in their order, and the columns that are used."""
    target, given = model.target, model.classes
    if given is None:
        if opening.named and model.needs_order and len(opening.of_class) > 1:
            named = sorted(opening.named.values())
            listed = ", ".join(map(repr, named[:4])) + ", ..." * (len(named) > 4)
            raise UsageError(
                f"{source.label}: column {target!r} holds texts, whose order is not known; say it, from the lowest, as "
                f"in classes=[{listed}]"
            )
        pairs = sorted((opening.named.get(key, ""), key) for key in opening.of_class)
    else:
        texts = not source.schema.numeric(target)
        keys = [text_key(str(one)) if texts else _whole(one, target) for one in given]
        if stranger := next((key for key in opening.of_class if key not in keys), None):
            name = opening.named.get(stranger, str(stranger))
            raise DataError(
                f"{source.label}, {opening.first[stranger]} (from 0), column {target!r}: {name} is not among classes; "
                "name it, or leave such rows out with where"
            )
        absent = [str(one) for one, key in zip(given, keys, strict=True) if key not in opening.of_class]
        if absent:
            words = f"class {absent[0]!r} of column {target!r} has no row; leave it out of classes"
            raise DataError(f"{source.label}: {words}")
        pairs = [(str(one) if texts else "", key) for one, key in zip(given, keys, strict=True)]
    names = tuple(name or str(key) for name, key in pairs)
    if len(names) < 2:
        raise DataError(f"{source.label}: column {target!r} is {names[0]} in every row; there is nothing to tell apart")
    problem = opening.moments.problem(target, None, model.centred)
    solved = cholesky.solve(problem)
    p = len(problem.names)
    if solved.dependencies and model.singular == "error":
        listed = "; ".join(map(str, solved.dependencies))
        raise DataError(f"{source.label}: dependent columns: {listed}; leave them out of features")
    spread = np.ldexp(np.sqrt(np.diag(problem.cross)[:p] / problem.weight), problem.exponent[:p])
    scale = np.divide(1.0, spread, out=np.ones(p), where=spread > 0)
    centre = problem.mean[0][:p].copy() if model.centred else np.zeros(p)
    keys_found = np.array([key for _, key in pairs], np.int64)
    found = Classes(keys_found, names, centre, scale, solved.kept, tuple(map(str, solved.dependencies)))
    if (size := model.likelihood(found).size) > _MOST:
        raise DataError(
            f"{source.label}: {len(names):,} classes of column {target!r} and {p:,} columns make {size:,} "
            f"coefficients, and {_MOST:,} are the most; join rare classes, or take fewer columns"
        )
    return found


def _whole(value: Any, target: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"classes: {value!r} is no whole number, and column {target!r} holds numbers") from None


def _climbed(
    model: Any,
    source: Source,
    design: Design,
    run: Run,
    classes: Classes,
    at: Float,
    *,
    sparing: bool,
    tolerance: float = 0.0,
) -> Summit | None:
    """Climb from parameters; None if the rows have classes that are not known."""
    likelihood = model.likelihood(classes)
    tolerance = tolerance or model.tolerance
    move: Float | None = None
    below, share = -np.inf, 1.0
    state: ClassSums | None = None
    for passes in range(1, model.max_iterations + 1):
        columns = (classes.centre, classes.scale, classes.kept, model.constant)
        state = ClassSums(likelihood, at, classes.keys, *columns, move)
        state = run.scan(source, design, state, f"{model.words} step {passes} on")
        if state.strangers:
            return None
        now = state.log_likelihood
        if move is not None and not now >= below - _SLACK * abs(below) and share > 1e-6:
            # Too far: come back to half of the step.
            at, share = at - move * (share / 2), share / 2
            continue
        step, inverse, distance = _step(state)
        summit = Summit(classes, likelihood, at, inverse, state, now, np.inf, np.inf, passes, "ok")
        words = _separated(model, design, classes, state, likelihood, move)
        if words:
            return replace(summit, status=f"not converged: {words}", inverse=np.full_like(inverse, np.nan))
        if np.isnan(distance):
            return replace(summit, status=_undetermined(model, design, classes, state))
        reach = likelihood.bends * likelihood.reach(step, max(state.norm, 1.0))
        remainder = distance * (np.exp(reach) * reach / 2.0 if reach < 1.0 else np.inf)
        rounding = EPS * (8.0 + float(np.abs(at).sum()) * state.norm) * np.sqrt(state.n)
        close = tolerance + min(rounding, 1e-6)
        if distance <= close or (sparing and passes > 1 and remainder <= close):
            left = distance**2 if np.isinf(reach) else remainder
            return replace(summit, at=at + step, log_lik=now + distance**2 / 2, remainder=left, rounding=rounding)
        move, below, share = step, now, 1.0
        at = at + step
    assert state is not None
    step, inverse, distance = _step(state)
    reason = f"not converged: {distance:.2g} SE from the maximum after {passes} passes; raise max_iterations"
    none = np.full_like(inverse, np.nan)
    return Summit(classes, likelihood, state.at, none, state, state.log_likelihood, np.inf, np.inf, passes, reason)


def _step(state: ClassSums) -> tuple[Float, Float, float]:
    """Return the Newton step, the inverse of the information, and the length of the step in standard errors.

    NaN where the information is singular as far as float64 tells.
    """
    information, score = state.information, state.score
    size = np.sqrt(np.diag(information))
    none = np.full_like(information, np.nan)
    if not (np.isfinite(information).all() and (size > 0).all()):
        return np.full_like(score, np.nan), none, np.nan
    with one_thread():
        values, vectors = np.linalg.eigh(information / size[:, None] / size)
        if values[0] <= _LOST * values[-1]:
            return np.full_like(score, np.nan), none, np.nan
        root = vectors / np.sqrt(values) / size[:, None]
        turned = root.T @ score
        return root @ turned, root @ root.T, float(np.linalg.norm(turned))


def _separated(
    model: Any, design: Design, classes: Classes, state: ClassSums, likelihood: ClassLikelihood, move: Float | None
) -> str:
    """Return why the likelihood has no finite maximum, or nothing."""
    whole = state.misfit < 0 or (state.moved > 0 and state.opposed <= 0)
    far = FAR if np.isfinite(likelihood.bends) else _SLOW
    part = state.moved >= far and state.opposed <= _PARALLEL * state.moved
    if move is None or not (whole or part):
        return ""
    along = direction(model.parameters(classes, design.names), move)
    share = "all" if whole else "some"
    return (
        f"no finite maximum: the columns separate {share} rows of the classes along {along}, so the coefficients grow "
        "without bound; leave columns out, or join rare categories or classes"
    )


def _undetermined(model: Any, design: Design, classes: Classes, state: ClassSums) -> str:
    """Name the parameters that the information does not determine."""
    information = state.information
    size = np.sqrt(np.maximum(np.diag(information), 0.0))
    names = model.parameters(classes, design.names)
    if not np.isfinite(information).all() or not (size > 0).all():
        flat = [name for name, one in zip(names, size, strict=True) if not one > 0]
        about = f" of {', '.join(flat[:4])}" if flat else ""
    else:
        _, vectors = np.linalg.eigh(information / size[:, None] / size)
        about = f" along {direction(names, vectors[:, 0])}"
    return f"not determined: float64 does not tell the likelihood's maximum{about}; leave columns out or rescale them"
