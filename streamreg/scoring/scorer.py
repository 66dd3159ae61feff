"""Does a network pay? Models of any kind, scored on the same rows in one pass."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.design.design import Design, Missing
from streamreg.errors import DataError, UsageError, typed
from streamreg.families import LABELS, LEAST_SQUARES, of_loss
from streamreg.families import family as facts_of
from streamreg.kernels.rowhash import Sample
from streamreg.models.base import as_source
from streamreg.results.base import FitResult
from streamreg.results.estimates import Scale
from streamreg.results.predict import of_rows
from streamreg.scans.formulas import with_terms
from streamreg.scans.run import Run
from streamreg.scoring.scorecard import Gain, Score, Scorecard, worthwhile
from streamreg.sources.base import Source
from streamreg.sources.rows import array
from streamreg.stats.losses import Losses, Scored

Float = NDArray[np.float64]
Rows = Literal["all", "validation"]


@typed
def score(
    models: Mapping[str, Any],
    data: Any,
    *,
    rows: Rows = "all",
    baseline: str | None = None,
    worth: float = 0.1,
    target: str | None = None,
    family: str | None = None,
    missing: Missing = "error",
    threads: int | None = None,
    progress: bool | None = None,
    engine: Any = None,
) -> Scorecard:
    """Score models on the same rows, in one pass, and tell whether they are better than a baseline.

    Parameters
    ----------
    models : mapping of str to model
        Results of `Linear`, `Glm` or `Keras`, or anything with ``predict(X)`` (and ``predict_proba``, for labels). Its
        columns are those of its `columns` or `names`, else the features of the source.
    data : Source, or anything that `streamreg.open` takes
        Rows that no model was fitted to: the second part of `split`, or with ``rows="validation"`` the whole.
    rows : {"all", "validation"}
        "validation": those that the training held out, by the models' own `validation` and `seed`.
    baseline : str, optional
        Default: the first model.
    worth : float
        Points (percent of what there is to explain) from which on a better model is worth it.
    target : str, optional
        Default: that of the models, else of the source.
    family : {"gaussian", "binomial", "poisson"}, optional
        What to score by; default: that of the models.
    missing : {"error", "drop"}
    threads : int, optional
        Workers; scores do not depend on it.
    progress : bool, optional
        Show a progress bar; default: on a terminal.
    engine : optional
        Who works on the rows, as in `streamreg.scan`.

    Raises
    ------
    UsageError
        No models, models of different families or targets, or no validation rows.
    NotFound
        A column of a model is not in the source.
    DataError
        Rows or predictions are not finite, or there is nothing to explain.

    Notes
    -----
    Cost: one pass. The standard error of a difference is that of the paired rows, by the delta method for the ratio to
    what there is to explain; with weights it takes them for unrelated to the losses.
    """
    run = Run.of(threads, engine, progress)
    if not isinstance(models, Mapping):
        raise UsageError(f"models are a {type(models).__name__}; pass them by name, as in {{'line': fit}}")
    if not models:
        raise UsageError("no models to score")
    for name, model in models.items():
        if not hasattr(model, "predict") or isinstance(model, type):
            what = "scores are of fits, and of what else has predict(X); fit the model first"
            raise UsageError(f"model {name!r} is a {type(model).__name__} and cannot predict: {what}")
    if baseline is not None and baseline not in models:
        raise UsageError(f"no model {baseline!r}; there is {', '.join(models)}")
    kind = family or _one_of({n: _family(m) for n, m in models.items()}, "family", LEAST_SQUARES)
    facts_of(kind)
    wanted = target or _one_of({n: getattr(m, "target", "") for n, m in models.items()}, "target", None)
    source = with_terms(as_source(data), [getattr(model, "encoder", {}) for model in models.values()])
    source = source.with_roles(target=wanted)
    notes: tuple[str, ...] = ()
    if rows == "validation":
        source, notes = _validation(models, source)
    used = {name: _columns(model, source, missing) for name, model in models.items()}
    union = tuple(dict.fromkeys(column for columns in used.values() for column in columns))
    design = Design.of(source, union, missing).with_target()
    assert design.target is not None
    place = {column: j for j, column in enumerate(union)}
    scored = [
        Scored(name, tuple(place[c] for c in used[name]), partial(_link, model=model, kind=kind))
        for name, model in models.items()
    ]
    shift = _near(source, design) if facts_of(kind).least_squares else 0.0
    state = run.scan(source, design, Losses(scored, kind, shift, design.target), "score on")
    if not state.n:
        raise DataError(f"{source.label}: no rows to score; hold out more of them")
    return _card(state, baseline or next(iter(models)), worth, source.label, notes)


def _card(state: Losses, baseline: str, worth: float, label: str, notes: tuple[str, ...]) -> Scorecard:
    names, labels = [m.name for m in state.models], state.labels
    m, total = len(names), state.moments.total()
    mean, weight = total.mean[0], total.weight
    cross = np.ldexp(np.ldexp(total.cross, total.exponent[:, None]), total.exponent)
    constant, slope, curve = facts_of(state.family).null_terms(float(mean[-2]))
    null = np.zeros(len(mean))
    null[-2:] = slope, curve
    base = constant + float(null @ mean)
    if not base > 0:
        raise DataError(f"{label}: the target is the same in all {state.n:,} rows scored; there is nothing to explain")

    def share(direction: Float) -> tuple[float, float]:
        """Return the mean of a combination of the columns as a share of the null deviance, and its standard error."""
        ratio = float(direction @ mean) / base
        influence = direction - ratio * null
        variance = max(float(influence @ cross @ influence), 0.0) / weight
        return ratio, float(np.sqrt(variance / max(state.n - 1, 1))) / base

    scores = {}
    unit = np.eye(len(mean))
    for k, name in enumerate(names):
        lost, error = share(unit[k])
        auc, off = state.auc(k) if labels else (np.nan, np.nan)
        scores[name] = Score(
            name=name,
            explained=1.0 - lost,
            explained_error=error,
            rmse=float(np.sqrt(mean[k])) if facts_of(state.family).least_squares else np.nan,
            log_loss=float(mean[k] / 2 - mean[-1]) if labels else np.nan,
            accuracy=float(mean[m + k]) if labels else np.nan,
            auc=auc,
            auc_error=off,
            deviance=float(mean[k]),
        )
    first = names.index(baseline)
    gains = []
    for k, name in enumerate(names):
        if k != first:
            points, error = (100.0 * value for value in share(unit[first] - unit[k]))
            gains.append(Gain(name, baseline, points, error, worthwhile(points, error, worth)))
    provenance = {} if state.record is None else state.record.account()
    return Scorecard(scores, tuple(gains), baseline, state.family, state.n, label, notes, provenance)


def _link(x: NDArray[Any], model: Any, kind: str) -> Float:
    """Return the linear predictor that belongs to a model's predictions."""
    if isinstance(model, FitResult):
        scale: Scale = "link" if model.family == kind else "mean"
        found = of_rows(model, x, scale)
        return found if scale == "link" else facts_of(kind).linked(facts_of(kind).bounded(found))
    if facts_of(kind).labels and hasattr(model, "predict_proba"):
        mean = _numbers(model.predict_proba(x))[:, -1]
    else:
        mean = _numbers(model.predict(x))
    mean = mean[:, 0] if mean.ndim == 2 and mean.shape[1] == 1 else mean
    if not hasattr(model, "target"):
        _require_means(mean, kind)
    return facts_of(kind).linked(facts_of(kind).bounded(mean))


def _numbers(predictions: Any) -> Float:
    """Return the predictions of any model as float64."""
    values = array(predictions, "predictions")
    if values.dtype.kind not in "fiub":
        raise DataError(f"predictions have type {values.dtype}, and scores need numbers")
    return values.astype(np.float64)


def _require_means(mean: Float, kind: str) -> None:
    """Refuse predictions of a foreign model that are no means of the family, such as logits for probabilities."""
    low, high = float(np.min(mean, initial=0.0)), float(np.max(mean, initial=0.0))
    if wrong := facts_of(kind).unlike_means(low, high):
        raise DataError(wrong)


def _family(model: Any) -> str:
    if isinstance(model, FitResult):
        return model.family
    loss = getattr(model, "loss", "")
    known = of_loss(loss) if isinstance(loss, str) else ""
    if known and hasattr(model, "spec"):  # a network of ours, whose family may have a parameter
        known = getattr(model, "family", known)
    return known or (LABELS if hasattr(model, "predict_proba") else LEAST_SQUARES)


def _one_of(values: Mapping[str, Any], what: str, default: Any) -> Any:
    """Return the value that all models share."""
    known = {name: value for name, value in values.items() if isinstance(value, str) and value}
    if len(set(known.values())) > 1:
        said = ", ".join(f"{name} has {value}" for name, value in known.items())
        raise UsageError(f"the models are not of one {what} ({said}); score them apart, or say {what}=")
    return next(iter(known.values()), default)


def _columns(model: Any, source: Source, missing: Missing) -> tuple[str, ...]:
    """Return the columns that a model takes, in its order."""
    own = getattr(model, "columns", None) or getattr(model, "names", None)
    names = Design.of(source, None, missing).features if own is None else tuple(map(str, own))
    for name in names:
        source.schema.require(name, source.label)
    return names


def _validation(models: Mapping[str, Any], source: Source) -> tuple[Source, tuple[str, ...]]:
    """Return the rows that the models' training held out."""
    options = {name: getattr(m, "spec", None) or getattr(m, "model", None) for name, m in models.items()}
    held = {
        name: (spec["validation"], spec.get("seed", 0))
        for name, spec in options.items()
        if isinstance(spec, Mapping) and spec.get("validation")
    }
    if not held:
        raise UsageError("no model held out rows (validation=0.2); split the source, and score on its second part")
    if len(set(held.values())) > 1:
        said = ", ".join(f"{name}: {share:g} with seed {seed}" for name, (share, seed) in held.items())
        raise UsageError(f"the models held out different rows ({said}); train them with one validation and seed")
    fraction, seed = next(iter(held.values()))
    sample = Sample(fraction, seed, True, source.roles.sample, "validation")
    seen = [name for name in models if name not in held]
    notes = (f"Rows held out by {', '.join(held)}; {', '.join(seen)} may have been fitted to them.",) if seen else ()
    return source.part(sample, f"{source.label} ({fraction:.3g} of the rows held out)"), notes


def _near(source: Source, design: Design) -> float:
    """Return the first target that is scored: a number near all of them, whatever the storage."""
    if source.one_pass:
        return 0.0
    for partition in source.partitions(columns=design.columns):
        for chunk in partition.chunks(256):
            y = design.batch(chunk).y
            if y is not None and len(y):
                return float(y[0])
    return 0.0
