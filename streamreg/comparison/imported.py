"""Coefficients that another program found, as a result to predict with, score and compare."""

import csv
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from streamreg.comparison.foreign import of_model
from streamreg.errors import CorruptError, DataError, NotFound, UsageError, typed
from streamreg.families import LABELS, LEAST_SQUARES
from streamreg.families import family as known_family
from streamreg.results.base import FitResult
from streamreg.results.estimates import NAN

_INTERCEPTS = ("(intercept)", "intercept", "const", "_cons", "bias")
_VALUES = ("coef", "coefficient", "coefficients", "estimate", "value")


@typed
def coefficients(data: Any, *, target: str | None = None, family: str | None = None) -> FitResult:
    """Return coefficients from elsewhere as a result without errors.

    Parameters
    ----------
    data : path, mapping, series or fitted model
        A linear model of scikit-learn or glum, a result of statsmodels, or one linear layer of Keras or PyTorch.
        A ``.csv`` file with the columns name and coef, the intercept being called ``(intercept)``. A ``.json`` file, a
        mapping or a series of pandas: ``{"intercept": 1.0, "coef": {"x0": 2.0}}``, or
        ``{"intercept": 1.0, "x0": 2.0}``, or what
        ``streamreg generate`` and ``streamreg fit --json`` write. Without an intercept the line goes through zero.
    target : str, optional
        What they predict; default: what the file says, or any.
    family : {"gaussian", "binomial", "poisson"}, optional
        Default: what the file says, or gaussian.

    Raises
    ------
    NotFound
        No such file.
    CorruptError
        Not a CSV or JSON file.
    DataError
        A coefficient is not a number; says which.
    UsageError
        The suffix or the layout is not known.
    """
    if hasattr(data, "to_dict") and getattr(data, "ndim", 1) == 1:  # a series, or a result of this package
        data = data.to_dict()
    if not isinstance(data, Mapping | str | os.PathLike) and (of_it := of_model(data)) is not None:
        label, found = f"{type(data).__module__.partition('.')[0]}'s {type(data).__name__}", of_it
    elif isinstance(data, Mapping):
        label, found = "coefficients", {str(name): value for name, value in data.items()}
        if len(found) < len(data):
            raise DataError(f"{label}: two names are the same as text; rename one")
    elif not isinstance(data, str | os.PathLike):
        raise UsageError(f"coefficients come as a mapping of names to numbers, or a path, not a {type(data).__name__}")
    else:
        label, found = str(data), _read(Path(data))
    intercept, slopes, about = _parts(found, label)
    names = tuple(slopes)
    values = np.array([_number(value, f"{label}: {name!r}") for name, value in slopes.items()])
    constant = 0.0 if intercept is None else _number(intercept, f"{label}: the intercept")
    kind = family or about.get("family") or (LABELS if about.get("kind") == "logistic" else LEAST_SQUARES)
    return FitResult(
        names=names,
        target=target or str(about.get("target") or ""),
        coef=values,
        intercept=constant,
        has_intercept=intercept is not None,
        std_errors=np.full(len(names), np.nan),
        intercept_std_error=NAN,
        rss=NAN,
        tss=NAN,
        n=0,
        n_read=0,
        n_missing=0,
        nobs=0.0,
        df_resid=NAN,
        rank=len(names),
        identifiable=np.ones(len(names), dtype=bool),
        dependencies=(),
        passes=0,
        method="imported",
        condition=NAN,
        digits=np.full(len(names), np.nan),
        digits_intercept=NAN,
        digits_se=NAN,
        centre=np.zeros(len(names)),
        at_centre=constant,
        status="ok",
        seconds=NAN,
        model={"kind": "coefficients"},
        source=label,
        family=known_family(str(kind)).name,
    )


def read(*paths: str | os.PathLike[str]) -> list[FitResult]:
    """Return saved fits (``.npz``) and coefficients of other programs (``.csv``, ``.json``) as results of one family.

    Coefficients whose file does not say what family they are of take that of the first saved fit.
    """
    saved = {path: FitResult.load(path) for path in paths if Path(path).suffix.lower() == ".npz"}
    family = next((fit.family for fit in saved.values()), None)
    return [saved[path] if path in saved else coefficients(path, family=family) for path in paths]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise NotFound(f"{path}: no such file")
    try:
        if path.suffix.lower() == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise UsageError(f'{path}: coefficients in JSON are written as {{"intercept": 1.0, "coef": {{...}}}}')
            return found
        if path.suffix.lower() == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                return _table(list(csv.reader(file)), str(path))
    except (ValueError, csv.Error) as error:
        if isinstance(error, UsageError | DataError):
            raise
        raise CorruptError(f"{path}: cannot be read ({error})") from error
    raise UsageError(f"{path}: a fit comes from a .npz file, coefficients from a .csv or .json file")


def _table(lines: list[list[str]], label: str) -> dict[str, Any]:
    """Return a table of names and coefficients as a flat mapping."""
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    value = next((header.index(name) for name in _VALUES if name in header), None)
    if value is None or len(header) < 2:
        raise UsageError(f"{label}, line 1: the columns must be name and coef; found {', '.join(header) or 'nothing'}")
    name = header.index("name") if "name" in header else 0 if value else 1
    found: dict[str, Any] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) <= max(name, value):
            raise DataError(f"{label}, line {number}: {len(line)} cells, and there should be {len(header)}")
        key = line[name].strip()
        if key in found:
            raise DataError(f"{label}, line {number}: {key!r} stands twice")
        found[key] = _number(line[value], f"{label}, line {number}: {key!r}")
    return found


def _parts(found: dict[str, Any], label: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return intercept (None: there is none), slopes by name, and what else is said."""
    slopes = found.get("coef")
    if isinstance(slopes, np.ndarray) and slopes.ndim:
        slopes = list(slopes)
    if isinstance(slopes, Mapping):
        slopes, about = dict(slopes), found
    elif isinstance(slopes, list):
        names = found.get("names") or [c for c in found.get("columns", []) if c != found.get("target")]
        if len(names) != len(slopes):
            raise DataError(f"{label}: {len(slopes)} coefficients for {len(names)} names")
        slopes, about = dict(zip(names, slopes, strict=True)), found
    else:
        slopes, about = dict(found), {}
    slopes = {str(name): value for name, value in slopes.items()}
    inner = [name for name in slopes if name.lower() in _INTERCEPTS]
    intercept = slopes.pop(inner[0]) if inner else None
    if intercept is None and about.get("has_intercept", True):
        intercept = about.get("intercept")
    return intercept, slopes, about


def _number(value: Any, where: str) -> float:
    number = NAN
    if np.ndim(value) == 0 and not isinstance(value, bool | np.bool_ | np.ma.MaskedArray):
        with suppress(TypeError, ValueError, OverflowError):
            number = float(value)
    if not np.isfinite(number):
        raise DataError(f"{where} is {value!r}, and a coefficient is a finite number")
    return number
