"""From the maximum of a likelihood to the result that a user reads."""

import dataclasses
from typing import Any

import numpy as np

from streamreg.design.design import Design
from streamreg.families import family
from streamreg.models.climb import Climb
from streamreg.models.estimates import Origin, penalty_share, result
from streamreg.models.likelihood_digits import digits_of, without_errors
from streamreg.results.base import FitResult
from streamreg.results.estimates import NAN
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.base_measure import BaseMeasure

_UNKNOWN = (
    "log-likelihood, AIC and BIC are without binomial coefficients: weights that are numbers of trials, with whole "
    "numbers of successes, would give them (or trials=, the column of the numbers of trials)"
)
_QUASI = "A quasi-likelihood has a variance and no distribution, so there is no log-likelihood, AIC or BIC."


def fitted(model: Any, source: Source, design: Design, climb: Climb, run: Run) -> FitResult:
    """Return the estimates of a `Glm` with errors, in the units of the data."""
    found = climb.found
    problem, solution, state = found.step.problem, found.step.solution, found.state
    origin = Origin.of(state.moments, problem.target, source.label, climb.passes, "newton", design.terms)
    if (record := state.record) is not None:
        origin = dataclasses.replace(origin, encoder=record.encoder, provenance=record.account())
    sums = state.likelihood()
    nobs = sums.weight if model.weight_kind == "frequency" else float(state.n)
    slopes = solution.rank - penalty_share(problem, solution)
    df = nobs - slopes - model.intercept
    dispersion, how = _dispersion(model, sums.deviance, state.pearson(), df)
    sigma = float(np.ldexp(np.sqrt(dispersion), -solution.target_exponent))
    fit = result(model, problem, solution, origin, sigma)
    # The columns' means as the information weighs them: about these, slopes and level are told apart.
    at = found.at.about(problem.mean[0][:-1]) if model.intercept else found.at
    intercept = at.about(np.zeros(len(at.coef))).at if model.intercept else 0.0
    digits = digits_of(found.errors * fit.std_errors, at.coef, fit.std_errors)
    error0 = fit.intercept_std_error
    digits0 = float(digits_of(found.intercept_error(error0), intercept, error0)) if model.intercept else NAN
    status = found.status
    if status == "ok" and solution.status != "ok":
        status = "dependent" if solution.dependencies else fit.status
    beside = {role: column for role, column in design.beside if role != "trials"}
    log_lik, note, none, extra = _log_likelihood(model, source, design, climb, dispersion, run)
    fit = dataclasses.replace(
        fit,
        coef=at.coef,
        intercept=intercept,
        centre=at.centre,
        at_centre=at.at,
        rss=sums.rss,
        tss=sums.tss,
        nobs=nobs,
        df_resid=df,
        digits=digits,
        digits_intercept=digits0,
        digits_se=float(digits_of(found.se_error, 1.0, 0.0)),
        status=status,
        family=model.spelling,
        passes=fit.passes + extra,
        deviance=sums.deviance,
        null_deviance=climb.null_deviance,
        log_lik=log_lik,
        log_lik_note=note,
        no_likelihood=none,
        columns=(*fit.columns, *beside.values()),
        likelihood={"dispersion": dispersion, "dispersion_by": how, "pearson": state.pearson(), "beside": beside},
    )
    if model.ridge:  # biased, so without errors
        fit = dataclasses.replace(fit, std_errors=np.full(len(fit.coef), NAN), intercept_std_error=NAN, digits_se=NAN)
    return fit if found.bounded else without_errors(fit)


def _dispersion(model: Any, deviance: float, pearson: float, df: float) -> tuple[float, str]:
    """Return the dispersion, and what it comes from: "known", or the statistic."""
    asked = model.dispersion
    if asked == "auto":
        asked = 1.0 if family(model.spelling).dispersion_known else "pearson"
    if not isinstance(asked, str):
        return float(asked), "known"
    return (deviance if asked == "deviance" else pearson) / df if df > 0 else NAN, asked


def _log_likelihood(
    model: Any, source: Source, design: Design, climb: Climb, dispersion: float, run: Run
) -> tuple[float, str, str, int]:
    """Return the log-likelihood, what it lacks, why there is none, and how many passes were taken for it."""
    facts, opening, sums = family(model.spelling), climb.facts, climb.found.state.likelihood()
    if facts.quasi or (facts.dispersion_known and model.dispersion != "auto" and dispersion != 1):
        return NAN, "", _QUASI, 0
    note = ""
    if opening.fractions:
        note = (
            f"log-likelihood, AIC and BIC are those of counts, and {opening.fractions:,} of the targets are not whole "
            f"numbers, the first in {opening.broken} (from 0); quasi_{facts.name} takes any"
        )
    if facts.dispersion_known:
        unknown = np.isnan(opening.choices)
        known = sums.saturated - sums.deviance / 2 + (0.0 if unknown else opening.choices)
        return known, _UNKNOWN if unknown else note, "", 0
    if not dispersion > 0:
        return NAN, "", "The dispersion is not known, so there is no log-likelihood.", 0
    frequency = model.weight_kind == "frequency"
    if facts.concentrated:
        dispersion = sums.deviance / (opening.own_weight if frequency else opening.n)
    explained = -sums.deviance / (2.0 * dispersion)
    if facts.separable and (design.weights is None or frequency):
        base = opening.choices + opening.own_weight * float(facts.normaliser(np.array([1.0 / dispersion]))[0])
        return explained + base, "", "", 0
    empty = BaseMeasure(design.target or "", model.spelling, dispersion, frequency)
    # Nothing but the target and the weights is read.
    thin = dataclasses.replace(design, features=(), powers=(), beside=())
    log_lik = explained + run.scan(source, thin, empty, "likelihood of").total
    none = "" if np.isfinite(log_lik) else f"The density of {facts.name} is not known in closed form."
    return log_lik, "", none, 1
