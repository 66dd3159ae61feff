"""Penalised paths of generalised linear models: all penalties, and all folds, share each pass over the rows."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.engines.threads import Threads
from streamreg.errors import OnePassError, StreamregError, UsageError
from streamreg.families import family
from streamreg.line import Line
from streamreg.models.base import as_source, as_state
from streamreg.models.descent import Opened, Reached, descend, opening
from streamreg.models.passes import Ask, Climbing, drive, joined, seen, tolerant
from streamreg.models.sample import sample
from streamreg.results.likelihood_path import LikelihoodPath
from streamreg.scans.run import Run
from streamreg.solve.path import Penalty
from streamreg.sources.base import Source
from streamreg.stats.deviances import Deviances
from streamreg.stats.grouped import Hash
from streamreg.stats.provenance import marked
from streamreg.stats.several import ALL, Share

Float = NDArray[np.float64]

_START = 0.05  # of a sample's standard errors: nearer to its minimum it tells no more of that of all rows
_EVENTS = 20  # in a sample, for each column
_BYTES = 2**28  # of the sums that one pass keeps
_LEVELS = 32  # of trees of sums, over all workers


def fit(model: Any, data: Any, run: Run, folds: int = 0, seed: int = 0) -> LikelihoodPath:
    """Fit the path to all rows and, with folds, to the rows outside of each, and measure the deviance inside.

    Raises
    ------
    DataError
        A target that the family cannot have, with its row, or one that is the same in every row.
    OnePassError
        The rows can be read only once.
    UsageError
        These are moments, or there is no target.
    """
    if as_state(data) is not None:
        raise UsageError(f"a path of {model.family} fits needs the rows, and moments hold none; pass the source")
    source = as_source(data, model.target)
    if source.one_pass:
        raise OnePassError(
            f"{source.label}: a path of {model.family} fits reads the rows several times; use a file or array"
        )
    design = Design.of(source, model.features, model.missing, beside=model.beside).with_target()
    shares = [ALL, *(Share(Hash(folds, seed), k, without=True) for k in range(folds))]
    q = len(design.names)
    most = max(_BYTES // (8 * q * (q + 6) * _LEVELS), 1)
    penalty = model.penalty
    label = source.label
    opened, passes = drive(
        joined([seen(opening(model, label, design, penalty), share) for share in shares]), source, design, run, most
    )
    alphas = model.grid(opened[0])
    starts = _sampled(model, source, design, run, alphas, shares, most)
    climbs = [
        seen(descend(model, design, start, penalty, alpha, line, model.tolerance), share)
        for start, lines, share in zip(opened, starts, shares, strict=True)
        for alpha, line in zip(alphas, lines, strict=True)
    ]
    flat, more = drive(joined(climbs), source, design, run, most)
    found = [flat[k : k + len(alphas)] for k in range(0, len(flat), len(alphas))]
    errors, weights, last = _held_out(model, found[1:], source, design, run, shares[1:])
    result = _result(model, source, design, opened[0], alphas, found[0])
    broken = next((one.status for one in flat if one.status != "ok"), None)
    status = "ok" if broken is None else f"not converged: {broken}"
    record = opened[0].state.record
    status = status if record is None else marked(status, record.account())
    return replace(result, fold_errors=errors, fold_weights=weights, passes=passes + more + last, status=status)


def _sampled(
    model: Any, source: Source, design: Design, run: Run, alphas: Float, shares: list[Share], most: int
) -> list[list[Line | None]]:
    """Return where to begin: the minima of a sample; None where there is none, or it tells too little."""
    nothing: list[list[Line | None]] = [[None] * len(alphas) for _ in shares]
    try:
        part = sample(source, design, run)
        if part is None:
            return nothing
        here = replace(run, engine=Threads(run.engine.workers), progress=False, checkpoint=None)
        # The folds begin where all rows do: they have all but a share of them.
        climb = _whole(model, part.label, design, model.penalty, alphas)
        found, _ = drive(tolerant(climb), part, design, here, most)
    except StreamregError:
        return nothing
    enough = _EVENTS * len(design.names) if family(model.spelling).dispersion_known else 0
    if found is None or any(one.status != "ok" or one.information < enough for one in found):
        return nothing
    return [[one.at for one in found] for _ in shares]


def _whole(model: Any, label: str, design: Design, penalty: Penalty, alphas: Float) -> Climbing[list[Reached]]:
    opened: Opened = yield from opening(model, label, design, penalty)
    return (yield from joined([descend(model, design, opened, penalty, a, None, _START) for a in alphas]))


def _held_out(
    model: Any, found: list[list[Reached]], source: Source, design: Design, run: Run, shares: list[Share]
) -> tuple[Float, Float, int]:
    """Return the mean deviance of each candidate on each fold, the weights of the folds, and the passes taken."""
    if not found:
        return np.zeros((0, 0)), np.zeros(0), 0

    def ask() -> Climbing[list[Deviances]]:
        asked = []
        for path, share in zip(found, shares, strict=True):
            lines = Line(path[0].at.centre, np.array([r.at.coef for r in path]), np.array([r.at.at for r in path]))
            asked.append(Ask(Deviances(design.names, model.spelling, lines), "held out", replace(share, without=False)))
        sums: list[Deviances] = yield asked
        return sums

    sums, passes = drive(ask(), source, design, run)
    full = [one for one in sums if one.n]
    if len(full) < 2:
        raise UsageError(f"cross-validation needs two folds or more that hold rows; there are {len(full)}")
    weights = np.array([one.weight for one in full])
    return np.stack([one.deviances for one in full], axis=1) / weights, weights, passes


def _result(
    model: Any, source: Source, design: Design, opened: Opened, alphas: Float, found: list[Reached]
) -> LikelihoodPath:
    kind, state, facts, problem = family(model.spelling), opened.state, opened.state.facts, opened.problem
    about = np.zeros(len(problem.names))
    lines = [one.at for one in found]
    frequency = model.weight_kind == "frequency"
    coef = np.array([line.coef for line in lines])
    known = kind.dispersion_known and not kind.quasi
    record = state.record
    return LikelihoodPath(
        names=problem.names,
        target=problem.target,
        coef=coef,
        intercept=np.array([line.about(about).at if model.intercept else 0.0 for line in lines]),
        has_intercept=model.intercept,
        rss=np.array([one.rss for one in found]),
        tss=found[0].tss,
        df=np.array([one.df for one in found]),
        sigma2=np.nan,
        n=state.n,
        n_read=state.n_read,
        n_missing=state.n_missing,
        nobs=facts.own_weight if frequency else float(state.n),
        log_weight=0.0,
        centre=opened.centre,
        at_centre=np.array([line.at for line in lines]),
        digits=np.array([one.digits for one in found]),
        digits_intercept=np.array([one.digits_intercept for one in found]),
        digits_rss=np.full(len(found), np.nan),
        fold_errors=np.zeros((len(found), 0)),
        fold_weights=np.zeros(0),
        passes=0,
        status="ok",
        seconds=np.nan,
        model=model.to_dict(),
        source=source.label,
        provenance={} if record is None else record.account(),
        alphas=alphas,
        lambda_max=opened.lambda_max,
        family=model.spelling,
        deviance=np.array([one.deviance for one in found]),
        null_deviance=found[0].null_deviance if found[0].null_deviance < 1e199 else np.nan,
        pearson=np.array([one.pearson for one in found]),
        base=found[0].saturated + facts.choices if known else np.nan,
        beside={role: column for role, column in design.beside if role != "trials"},
    )
