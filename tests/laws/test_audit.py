"""No number that a result shows is left out of the laws."""

import inspect
from functools import cache
from typing import Any

import numpy as np
import pytest
from designs import NAMES, Design

import streamreg as sr

DESIGN = Design(1e2, 10.0, "", True)

# What counts, labels or holds the specification, and what the other numbers are made of.
BOOKKEEPING = {
    *("names", "columns", "powers", "target", "source", "model", "status", "statuses", "errors", "family", "method"),
    *("seconds", "passes", "n_read", "n_missing", "has_intercept", "training", "KIND", "kind", "by", "fits", "pooled"),
    *("moments", "short", "geometry", "sandwich", "dependencies", "identifiable", "log_weight", "included", "groups"),
    *(
        "degenerate",
        "restrictions",
        "near",
        "log_lik_note",
        "no_f",
        "no_likelihood",
        "parameters",
        "df_slopes",
        "constant",
        "about_mean",
    ),
    *("parameters", "df_slopes"),  # what AIC counts
    *("line", "tstats", "intercept_tstat", "level"),  # coef, centre and at_centre together; names of the version before
    *("absorbed", "effects", "rsquared_within"),  # of absorbed factors: tests/absorb
    *("provenance", "to_frame"),  # tests/core/test_provenance.py
    *("encoder", "terms_of"),  # what a formula learned; columns but offset and exposure
    "ratios",  # exp of coefficients and intervals: tests/glm/test_ratios.py
    "likelihood",  # facts of a likelihood that is not of least squares: tests/glm
    *(
        "save",
        "load",
        "to_dict",
        "code",
        "to_csv",
        "brief",
        "summary",
        "table",
        "label",
        "features",
        "get",
        "items",
        "keys",
        "values",
    ),
    *("at", "best", "one_standard_error", "candidate"),  # one of the candidates: its numbers are the law's
}
FIT = {
    *("coef", "intercept", "std_errors", "intercept_std_error", "digits", "digits_intercept", "digits_se"),
    *("tvalues", "pvalues", "intercept_tvalue", "intercept_pvalue", "conf_int", "intercept_conf_int", "cov"),
    *("rss", "tss", "sigma", "rsquared", "rsquared_adj", "fvalue", "f_pvalue", "log_likelihood", "aic", "bic"),
    *("n", "nobs", "df_resid", "df_test", "rank", "condition", "conditioning", "predict", "centre", "at_centre"),
    *("anova", "deviance", "null_deviance", "log_lik"),
}
CANDIDATES = {
    *("coef", "intercept", "rss", "tss", "df", "sigma2", "n", "nobs", "centre", "at_centre", "predict"),
    *("log_likelihood", "aic", "bic", "cp", "rsquared", "cv", "cv_std_error", "fold_errors", "fold_weights"),
    *("alphas", "lambda_max", "digits", "digits_intercept", "digits_rss"),
}
IN_THE_LAWS = {
    "FitResult": FIT,
    "PenaltyPath": CANDIDATES,
    "Selection": CANDIDATES,
    "RestrictionTest": {
        *("estimate", "std_errors", "fvalue", "df_num", "df_denom", "pvalue", "chi2", "chi2_pvalue", "digits"),
    },
    "Resampled": {"digits", "estimates", "replicates", "cov", "std_errors", "bias", "conf_int"},
    "GroupFits": {"coef", "std_errors", "rsquared", "sigma", "chow"},
    "ChowTest": {"fvalue", "df_num", "df_denom", "pvalue", "rss_pooled", "rss_groups"},
    "Conditioning": {"vif", "indices", "proportions"},
}


@cache
def _results() -> dict[str, Any]:
    """Return a result of every class."""
    table = DESIGN.table()
    source, options = table.source(), table.options
    fit = sr.Linear(**options).fit(source)
    groups = sr.fit_by(sr.Linear(**options), source, by="few")
    found = [
        fit,
        sr.wald_test(fit, "a = b"),
        fit.conditioning(),
        sr.Penalised(**options, alphas=3).fit(source),
        sr.Subsets(**options).fit(source),
        sr.jackknife(sr.Linear(**options), sr.scan(source, NAMES, by="many")),
        groups,
        groups.chow(),
    ]
    return {type(result).__name__: result for result in found}


@pytest.mark.parametrize("kind", IN_THE_LAWS)
def test_no_number_is_left_out(kind):
    result = _results()[kind]
    shown = {name for name in dir(result) if not name.startswith("_")}
    assert shown - BOOKKEEPING == IN_THE_LAWS[kind] & shown


def test_every_class_of_results_is_audited():
    """Public names that are results: what `fit` and the like return."""
    results = {name for name in sr.__all__ if name.endswith(("Result", "Path", "Selection", "Test"))}
    elsewhere = {"NetworkResult", "LikelihoodPath"}  # tests/neural, and tests/glm/test_penalised_paths.py
    assert results - elsewhere <= set(IN_THE_LAWS)
    assert all(inspect.isclass(getattr(sr, name)) for name in results)


def test_json_holds_the_same_numbers():
    fit = sr.Linear(**DESIGN.table().options).fit(DESIGN.table().source())
    for name, value in fit.to_dict().items():
        if name in FIT and name not in ("predict", "conditioning", "centre", "at_centre"):
            own = getattr(fit, name)
            own = own() if callable(own) else own
            np.testing.assert_array_equal(
                np.array([np.nan if v is None else v for v in np.ravel(np.array(value, dtype=object))], dtype=float),
                np.ravel(np.asarray(own, dtype=float)),
            )
