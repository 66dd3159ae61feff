"""The call of another program that should give the numbers of a fit, for a reader who wants to check."""

from collections.abc import Callable
from typing import Any

from streamreg.errors import UsageError, nearest
from streamreg.families import elsewhere, family
from streamreg.results import wording
from streamreg.results.estimates import Estimates
from streamreg.results.wording import Language


def _no_name(name: str) -> str:
    raise UsageError(f"code: Stata has no names such as {name!r}; rename the column")


_R = Language("R", lambda name: f"`{name}`", {"C": "factor({})", "log": "log({})", "exp": "exp({})",
              "sqrt": "sqrt({})"}, "I({}^{})")  # fmt: skip
_PYTHON = Language("statsmodels", lambda name: f"Q({name!r})", {"C": "C({})", "log": "np.log({})", "exp": "np.exp({})",
                   "sqrt": "np.sqrt({})"}, "I({}**{})")  # fmt: skip
_PYFIXEST = Language("pyfixest", lambda name: f"`{name}`", {"C": "C({})", "log": "np.log({})", "exp": "np.exp({})",
                     "sqrt": "np.sqrt({})"}, "I({}**{})")  # fmt: skip
_STATA = Language("Stata", _no_name, {"C": "i.{}"}, "")


def code(fit: Estimates, language: str) -> str:
    """Return the call; see `FitResult.code`."""
    if language not in _WRITERS:
        raise UsageError(f"code: no language {language!r}{nearest(language, _WRITERS)}")
    _require_counterpart(fit)
    lines = _WRITERS[language](fit)
    where = fit.provenance.get("where")
    mark = "*" if language == "stata" else "#"
    first = [f"{mark} data: the rows of {' '.join(fit.source.split())}" + (f" where {where}" if where else "")]
    return "\n".join([*first, *lines])


def _require_counterpart(fit: Estimates) -> None:
    options = fit.model
    kind = options.get("kind")
    if kind not in ("linear", "logistic", "glm") or fit.training:
        raise UsageError(
            f"code: a fit of kind {kind!r} has no counterpart in one call; there is one of linear, logistic, glm"
        )
    if fit.dependencies:
        raise UsageError(
            f"code: columns depend on each other ({fit.dependencies[0]}), and programs choose differently among them; "
            "leave one out"
        )
    if not isinstance(options.get("missing", "error"), str) or options.get("missing") not in (None, "error", "drop"):
        raise UsageError("code: rows were filled where values were missing; fill them first, and fit again")
    if options.get("trials") is not None or options.get("dispersion", "auto") not in ("auto", "pearson"):
        raise UsageError("code: trials and a given dispersion are not written the same by others; leave them out")
    if _weights(fit) == "":
        raise UsageError("code: the weights have no name; give them one: sr.open(data, weights='w')")


def _weights(fit: Estimates) -> str | None:
    """Return the column of weights: None if there are none, empty if they have no name."""
    name = fit.provenance.get("weights")
    unnamed = fit.log_weight != 0 and family(fit.family).least_squares  # of others it is the base measure
    return str(name) if name else "" if unnamed else None


def _errors(fit: Estimates) -> tuple[str, tuple[str, ...]]:
    """Return the kind of standard errors, and the columns or lags that go with it."""
    asked = fit.model.get("errors", "classical")
    if not isinstance(asked, dict):
        return ("classical" if fit.sandwich is None else fit.errors), ()
    ((kind, rest),) = asked.items()
    return kind, (rest,) if isinstance(rest, str) else tuple(
        map(str, rest if isinstance(rest, list | tuple) else (rest,))
    )


def _ridge(fit: Estimates) -> float:
    return float(fit.model.get("ridge") or 0.0)


def _refuse(
    fit: Estimates, program: str, *, absorbed: bool = False, frequency: bool = False, ridge: bool = False
) -> None:
    """Refuse what a program does not do, unless it is said that it does."""
    if _ridge(fit) and not ridge:
        raise UsageError(f"code: {program} has no ridge penalty in this convention; ask for 'sklearn'")
    if fit.absorbed is not None and not absorbed:
        raise UsageError(f"code: {program} absorbs no factors; ask for 'pyfixest', 'fixest' or 'stata'")
    if _weights(fit) and fit.model.get("weight_kind") == "frequency" and not frequency:
        raise UsageError(f"code: {program} has no frequency weights here; repeat the rows, or ask for 'stata'")


def _formula(fit: Estimates, language: Language, constant: str = " - 1") -> str:
    said = wording.model(fit, language)
    return f"{said.target} ~ {said.terms or '1'}" + ("" if fit.has_intercept or "- 1" in said.terms else constant)


def _statsmodels(fit: Estimates) -> list[str]:
    _refuse(fit, "statsmodels")
    formula, weights, (kind, rest) = _formula(fit, _PYTHON), _weights(fit), _errors(fit)
    covariance = {
        "classical": "",
        "newey_west": f'cov_type="HAC", cov_kwds={{"maxlags": {rest[0] if rest else 0}}}, use_t=True',
    }.get(kind, f'cov_type="{kind}", use_t=True')
    lines = ["import numpy as np", "import statsmodels.api as sm", "import statsmodels.formula.api as smf", ""]
    if kind == "cluster":  # it takes codes, not names
        groups = ", ".join(f"data[{name!r}].astype('category').cat.codes" for name in rest)
        joined = groups if len(rest) == 1 else f"np.column_stack([{groups}])"
        covariance = f'cov_type="cluster", cov_kwds={{"groups": {joined}}}, use_t=True'
    if family(fit.family).least_squares:
        call = (
            f"smf.ols({formula!r}, data)" if not weights else f"smf.wls({formula!r}, data, weights=data[{weights!r}])"
        )
        return [*lines, f"fit = {call}.fit({covariance})"]
    own = (
        f", {'freq' if fit.model.get('weight_kind') == 'frequency' else 'var'}_weights=data[{weights!r}]"
        if weights
        else ""
    )
    for name in ("offset", "exposure"):
        own += f", {name}=data[{fit.model[name]!r}]" if fit.model.get(name) else ""
    if kind in ("HC1", "HC2", "HC3") or (kind != "classical" and not family(fit.family).canonical):
        raise UsageError(f"code: statsmodels' GLM has other factors or information for {fit.errors} here; ask for 'r'")
    own_errors = "".join(f", {covariance}".rsplit(", use_t=True", 1)) if covariance else ""
    name, link = _named_family(fit)
    made = f"sm.families.{elsewhere.FAMILIES[name][0]}(sm.families.links.{elsewhere.LINKS[link]}())"
    # Its usual tolerance ends some digits short.
    return [*lines, f"fit = smf.glm({formula!r}, data, family={made}{own}).fit(tol=1e-12, maxiter=200{own_errors})"]


def _named_family(fit: Estimates) -> tuple[str, str]:
    facts = family(fit.family)
    if facts.name not in elsewhere.FAMILIES or facts.link not in elsewhere.LINKS:
        raise UsageError(
            f"code: the family {fit.family} has no name elsewhere; these have: {', '.join(elsewhere.FAMILIES)}"
        )
    return facts.name, facts.link


def _pyfixest(fit: Estimates) -> list[str]:
    _refuse(fit, "pyfixest", absorbed=True, frequency=True)
    if not family(fit.family).least_squares:
        raise UsageError("code: generalised linear models are asked of 'statsmodels', 'r' or 'stata'")
    said, weights, (kind, rest) = wording.model(fit, _PYFIXEST), _weights(fit), _errors(fit)
    formula = _formula(fit, _PYFIXEST) + (f" | {' + '.join(said.absorbed)}" if said.absorbed else "")
    if kind not in ("classical", "HC1", "HC2", "HC3", "cluster") or (said.absorbed and kind in ("HC2", "HC3")):
        raise UsageError(f"code: pyfixest has no errors {fit.errors} here; ask for 'statsmodels'")
    vcov = {"classical": "'iid'", "cluster": repr({"CRV1": " + ".join(rest)})}.get(kind, repr(kind))
    # It multiplies HC2 and HC3 by n / (n - k), as no one else does.
    weighted = ", ssc=pyfixest.ssc(k_adj=False)" if kind in ("HC2", "HC3") else ""
    weighted += f", weights={weights!r}" if weights else ""
    weighted += ", weights_type='fweights'" if weights and fit.model.get("weight_kind") == "frequency" else ""
    kept = "'singleton'" if fit.model.get("singletons") == "drop" else "'none'"
    exact = f", fixef_rm={kept}, fixef_tol=1e-13, fixef_maxiter=100_000" if said.absorbed else ""
    return ["import pyfixest", "", f"fit = pyfixest.feols({formula!r}, data, vcov={vcov}{weighted}{exact})"]


def _fixest(fit: Estimates) -> list[str]:
    _refuse(fit, "fixest", absorbed=True)
    said, weights, (kind, rest) = wording.model(fit, _R), _weights(fit), _errors(fit)
    formula = _formula(fit, _R) + (f" | {' + '.join(said.absorbed)}" if said.absorbed else "")
    vcov = {
        "classical": '"iid"',
        "HC1": '"hetero"',
        "cluster": f"~ {' + '.join(map(_R.column, rest))}",
    }.get(kind)
    if vcov is None:
        raise UsageError(f"code: fixest has no errors {fit.errors}; ask for 'r' or 'statsmodels'")
    more = f", weights = ~ {_R.column(weights)}" if weights else ""
    if said.absorbed:
        more += f', fixef.rm = "{"singleton" if fit.model.get("singletons") == "drop" else "none"}", fixef.tol = 1e-10'
    if family(fit.family).least_squares:
        return ["library(fixest)", f"fit <- feols({formula}, data, vcov = {vcov}{more})", "summary(fit)"]
    name, link = _named_family(fit)
    own = f'family = {elsewhere.FAMILIES[name][1]}(link = "{link}"){_moved(fit, "offset = ~ ")}'
    return [
        "library(fixest)",
        f"fit <- feglm({formula}, data, {own}, vcov = {vcov}{more}, glm.tol = 1e-12)",
        "summary(fit)",
    ]


def _moved(fit: Estimates, before: str) -> str:
    """Return the offset of a call of R; an exposure is the logarithm of one."""
    parts = [_R.column(fit.model["offset"])] if fit.model.get("offset") else []
    parts += [f"log({_R.column(fit.model['exposure'])})"] if fit.model.get("exposure") else []
    return f", {before}{' + '.join(parts)}" if parts else ""


def _r(fit: Estimates) -> list[str]:
    _refuse(fit, "R")
    formula, weights, (kind, rest) = _formula(fit, _R), _weights(fit), _errors(fit)
    own = f", weights = {_R.column(weights)}" if weights else ""
    if not family(fit.family).least_squares:
        name, link = _named_family(fit)
        link = "1/mu^2" if link == "inverse_squared" else link
        made = f'{elsewhere.FAMILIES[name][1]}(link = "{link}")'
        call = f"fit <- glm({formula}, data = data, family = {made}{own}{_moved(fit, 'offset = ')}, epsilon = 1e-12)"
        lines, factor = [call], ', type = "HC1"'
    else:
        lines, factor = [f"fit <- lm({formula}, data = data{own})"], ""
    if kind == "classical":
        return [*lines, "summary(fit)"]
    made = {
        "cluster": f"sandwich::vcovCL(fit, cluster = ~ {' + '.join(map(_R.column, rest))}{factor})",
        "newey_west": f"sandwich::NeweyWest(fit, lag = {rest[0] if rest else 0}, prewhite = FALSE)",
    }.get(kind, f'sandwich::vcovHC(fit, type = "{kind}")')
    df = "Inf" if fit.df_test == float("inf") else f"{fit.df_test:.10g}"
    return [*lines, f"lmtest::coeftest(fit, vcov. = {made}, df = {df})"]


def _stata(fit: Estimates) -> list[str]:
    _refuse(fit, "Stata", absorbed=True, frequency=True)
    said, weights, (kind, rest) = wording.model(fit, _STATA), _weights(fit), _errors(fit)
    if fit.powers or not said.target.isidentifier():
        raise UsageError("code: Stata's formulas have no powers and functions; make columns of them first")
    terms = said.terms.replace(" + ", " ").replace(" * ", "##").replace(":", "#")
    if any(sign in terms for sign in "-+()^"):
        raise UsageError(f"code: {said.terms!r} is not said in the same words by Stata; make columns of its terms")
    weighted = (
        f" [{'fweight' if fit.model.get('weight_kind') == 'frequency' else 'aweight'} = {weights}]" if weights else ""
    )
    errors = {"classical": "", "HC1": "vce(robust)", "HC2": "vce(hc2)", "HC3": "vce(hc3)",
              "cluster": f"vce(cluster {' '.join(rest)})"}.get(kind)  # fmt: skip
    if errors is None:
        raise UsageError(f"code: Stata's regress has no errors {fit.errors}; ask for 'r' or 'statsmodels'")
    options = [errors, "" if fit.has_intercept else "noconstant"]
    if not family(fit.family).least_squares:
        if kind != "classical":
            raise UsageError(f"code: Stata's glm has other factors for {fit.errors}; ask for 'r'")
        name, link = _named_family(fit)
        options = [
            f"family({elsewhere.FAMILIES[name][2]})",
            f"link({'power -1' if link == 'inverse' else link})",
            *options,
        ]
        options += [f"{word}({fit.model[word]})" for word in ("offset", "exposure") if fit.model.get(word)]
        return [f"glm {said.target} {terms}{weighted}, {' '.join(filter(None, options))}"]
    if said.absorbed:
        options += [f"absorb({' '.join(name.replace('^', '#') for name in said.absorbed)})"]
        options += [] if fit.model.get("singletons") == "drop" else ["keepsingletons"]
        return [f"reghdfe {said.target} {terms}{weighted}, {' '.join(filter(None, options))}"]
    shown = " ".join(filter(None, options))
    return [f"regress {said.target} {terms}{weighted}" + (f", {shown}" if shown else "")]


def _sklearn(fit: Estimates) -> list[str]:
    _refuse(fit, "scikit-learn", frequency=True, ridge=True)
    said, weights = wording.model(fit, _PYFIXEST), _weights(fit)
    if not said.plain or fit.model.get("offset") or fit.model.get("exposure"):
        raise UsageError(
            "code: scikit-learn takes columns of numbers, without formulas and offsets; ask for 'statsmodels'"
        )
    constant, ridge = f"fit_intercept={fit.has_intercept}", _ridge(fit)
    if family(fit.family).least_squares:
        made = f"Ridge(alpha={ridge!r}, {constant})" if ridge else f"LinearRegression({constant})"
    else:
        name, link = _named_family(fit)
        call = elsewhere.SKLEARN.get((name, link))
        if ridge or call is None:
            raise UsageError(f"code: scikit-learn has no {fit.family} model in this convention; ask for 'statsmodels'")
        made = call.format(f"{constant}, tol=1e-10, max_iter=10_000")
    weighted = f", sample_weight=data[{weights!r}]" if weights else ""
    return [
        *(["import numpy as np"] if "np." in made else []),
        f"from sklearn.linear_model import {made.partition('(')[0]}",
        "",
        f"fit = {made}.fit(data[{list(said.plain)!r}], data[{fit.target!r}]{weighted})  # it has no standard errors",
    ]


_WRITERS: dict[str, Callable[[Any], list[str]]] = {
    "r": _r,
    "stata": _stata,
    "statsmodels": _statsmodels,
    "fixest": _fixest,
    "pyfixest": _pyfixest,
    "sklearn": _sklearn,
}
