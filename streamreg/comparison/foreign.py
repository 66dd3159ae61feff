"""Coefficients of a fitted model of another library, as a mapping like those of files."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamreg.errors import UsageError
from streamreg.families import FAMILIES, LABELS

_CLASSES = {
    "PoissonRegressor": "poisson",
    "GammaRegressor": "gamma",
    "LogisticRegression": LABELS,
    "LogisticRegressionCV": LABELS,
    "Logit": LABELS,
    "Poisson": "poisson",
    "InverseGaussian": "inverse_gaussian",
    "NegativeBinomial": "negative_binomial",
}
"""Families by the names of classes of scikit-learn and statsmodels, where these are not the same but for capitals."""


def of_model(model: Any) -> dict[str, Any] | None:
    """Return names, coefficients, intercept and family of a fitted linear model; None if it is none.

    Known are what scikit-learn and glum call ``coef_``, results of statsmodels, and single linear layers of Keras and
    PyTorch.

    Raises
    ------
    UsageError
        It has several targets or classes, or more than one layer.
    """
    if hasattr(model, "coef_"):
        return _of_scikit_learn(model)
    if hasattr(model, "params") and hasattr(model, "model"):
        return _of_statsmodels(model)
    if hasattr(model, "get_weights"):
        return _of_layer(model, model.get_weights())
    if hasattr(model, "state_dict"):
        return _of_layer(model, [part.detach().cpu().numpy().T for part in model.state_dict().values()])
    return None


def _of_scikit_learn(model: Any) -> dict[str, Any]:
    coef, intercept = np.asarray(model.coef_, dtype=np.float64), np.ravel(getattr(model, "intercept_", 0.0))
    if coef.ndim > 1 and len(coef) > 1:
        raise UsageError(
            f"this {type(model).__name__} has coefficients of {len(coef)} targets or classes; pass those of one"
        )
    constant = getattr(model, "fit_intercept", True)
    family = getattr(model, "family", None)  # of glum, by name or as an object
    name = family if isinstance(family, str) else type(family if family is not None else model).__name__
    return _told(_names(getattr(model, "feature_names_in_", None), coef.size), coef.ravel(), intercept, constant, name)


def _of_statsmodels(model: Any) -> dict[str, Any]:
    values = np.asarray(model.params, dtype=np.float64)
    if values.ndim != 1:
        raise UsageError(f"this {type(model).__name__} has coefficients of several equations; pass those of one")
    names = list(model.params.index if hasattr(model.params, "index") else model.model.exog_names)
    family = getattr(model.model, "family", None)
    name = type(model.model if family is None else family).__name__
    return {"coef": dict(zip(map(str, names), values, strict=True)), "has_intercept": False} | _family(name)


def _of_layer(model: Any, parts: Sequence[Any]) -> dict[str, Any]:
    if not 1 <= len(parts) <= 2 or np.shape(parts[0])[1:] != (1,):
        raise UsageError(f"this {type(model).__name__} is more than one linear layer of one output, so it has no line")
    weights = np.asarray(parts[0], dtype=np.float64).ravel()
    constant = np.ravel(parts[1]) if len(parts) == 2 else np.zeros(1)
    return _told(_names(None, weights.size), weights, constant, len(parts) == 2, "")


def _told(names: list[str], coef: Any, intercept: Any, constant: bool, name: str) -> dict[str, Any]:
    return {
        "names": names,
        "coef": coef.tolist(),
        "intercept": float(intercept[0]),
        "has_intercept": bool(constant),
    } | _family(name)


def _names(names: Any, count: int) -> list[str]:
    return [f"x{j}" for j in range(count)] if names is None else [str(name) for name in names]


def _family(name: str) -> dict[str, str]:
    found = _CLASSES.get(name, name.lower())
    return {"family": found} if found in FAMILIES else {}
