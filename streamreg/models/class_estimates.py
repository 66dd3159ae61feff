"""From the maximum of a likelihood of classes to the result that a user reads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design
from streamreg.families.classes import Multinomial
from streamreg.models.class_climb import Summit
from streamreg.models.likelihood_digits import digits_of
from streamreg.results.classes import CONSTANT, ClassFit
from streamreg.sources.base import Source

Float = NDArray[np.float64]


def estimates(model: Any, source: Source, design: Design, found: Summit) -> ClassFit:
    """Return the estimates of `Multinomial` or `Ordered`, in the units of the data."""
    classes, state, likelihood = found.classes, found.state, found.likelihood
    kept, p = classes.kept, len(classes.centre)
    base = likelihood.base if isinstance(likelihood, Multinomial) else None
    based = base is not None
    cuts, ones = len(classes.names) - 1, int(model.constant)
    # Parameters are of columns about their means, scaled; here is what each coefficient is of them.
    slopes = np.zeros((p, len(kept)))
    slopes[kept, np.arange(len(kept))] = classes.scale[kept]
    shift = -classes.centre[kept] * classes.scale[kept]
    if based:
        one = np.block([[np.ones((ones, ones)), np.tile(shift, (ones, 1))], [np.zeros((p, ones)), slopes]])
        moved = np.kron(np.eye(cuts), one)
        names = [
            f"{name}:{term}"
            for k, name in enumerate(classes.names)
            if k != base
            for term in (*[CONSTANT] * ones, *design.names)
        ]
        identifiable = np.tile(np.append(np.ones(ones, bool), np.isin(np.arange(p), kept)), cuts)
        rows = found.at.reshape(cuts, -1)
        at_centre = rows[:, 0] if ones else np.zeros(cuts)
        own = rows[:, ones:]
    else:
        moved = np.block([[np.zeros((p, cuts)), slopes], [np.eye(cuts), -np.tile(shift, (cuts, 1))]])
        names = [*design.names, *(f"{a}|{b}" for a, b in zip(classes.names, classes.names[1:], strict=False))]
        identifiable = np.append(np.isin(np.arange(p), kept), np.ones(cuts, bool))
        at_centre, own = found.at[:cuts], found.at[None, cuts:]
    coef = moved @ found.at
    covariance = moved @ found.inverse @ moved.T
    covariance = (covariance + covariance.T) / 2.0
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diag(covariance))
    covariance[~identifiable], covariance[:, ~identifiable] = np.nan, np.nan
    errors[~identifiable], coef[~identifiable] = np.nan, np.nan
    weights = state.weights
    digits = digits_of((found.remainder + found.rounding) * errors, coef, errors)
    if not np.isfinite(found.remainder):
        digits = np.zeros(len(coef))
    with_columns = np.zeros((len(own), p))
    with_columns[:, kept] = own * classes.scale[kept]
    # Without constants all classes are as probable, where there are no columns.
    share = weights / weights.sum() if ones or not based else np.full(len(weights), 1.0 / len(weights))
    record = state.record
    nobs = float(weights.sum()) if model.weight_kind == "frequency" else float(state.n)
    status = found.status
    if status == "ok" and classes.dependencies:
        status = "dependent"
    return ClassFit(
        names=tuple(names),
        target=model.target,
        classes=classes.names,
        whole=source.schema.numeric(model.target),
        counts=np.rint(state.of_class).astype(np.int64),
        base="" if base is None else classes.names[base],
        link=model.link if not based else "logit",
        terms=design.names,
        has_intercept=bool(ones),
        coef=coef,
        std_errors=errors,
        covariance=covariance,
        identifiable=identifiable,
        dependencies=classes.dependencies,
        log_likelihood=found.log_lik,
        null_log_likelihood=float(weights @ np.log(share)),
        n=state.n,
        n_read=state.n_read,
        n_missing=state.n_missing,
        nobs=nobs,
        rank=len(found.at),
        digits=digits,
        centre=classes.centre,
        at_centre=at_centre,
        slopes_at_centre=with_columns,
        passes=found.passes,
        status=status,
        seconds=float("nan"),
        model=model.to_dict(),
        source=source.label,
        columns=design.terms.columns,
        powers=dict(design.powers),
        encoder={} if record is None else record.encoder,
        provenance={} if record is None else record.account(),
    )
