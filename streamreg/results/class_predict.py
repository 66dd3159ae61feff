"""Probabilities of classes, and the most probable class, of rows in memory and of streams."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg import sources
from streamreg.design.terms import Terms
from streamreg.errors import UsageError, typed
from streamreg.families.classes import Multinomial, Ordered
from streamreg.persist.columns import Field
from streamreg.results.fitted import refuse_elsewhere, stored_columns
from streamreg.results.intervals import COLUMNS
from streamreg.results.predict import predict_to
from streamreg.results.streamed import Asked, stream
from streamreg.scans.run import Run
from streamreg.sources.base import TEXT, Source
from streamreg.sources.chunk import Coded, Column, Texts
from streamreg.sources.rows import missing_rows, table

Float = NDArray[np.float64]

ClassKind = Literal["probability", "class", "link", "mean"]


@dataclass(frozen=True, slots=True)
class ClassAsked(Asked):
    """What is to be predicted of rows by a regression of classes.

    Attributes
    ----------
    made : tuple of str
        The columns that are predicted.
    labels : tuple of str
        Where these are classes: their names; empty for numbers.
    whole : bool
        Whether those are whole numbers.
    """

    made: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    whole: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are predicted."""
        return self.made

    def check(self, fit: Any) -> None:
        """Nothing: it was made for the fit."""

    def of(self, fit: Any, rows: NDArray[Any]) -> tuple[Float, ...]:
        """Return the columns of rows that miss no value."""
        rows, absent = missing_rows(rows)
        found = _predicted(fit, rows, str(self.kind))
        if absent is not None:
            found[:, absent] = np.nan
        return tuple(found)

    def columns(self, values: Float) -> dict[str, Column]:
        """Return the columns as they are written: the names of classes, if these are predicted."""
        if not self.labels:
            return dict(zip(self.names, values, strict=True))
        absent = np.isnan(values[0])
        codes = np.where(absent, -1, np.where(absent, 0, values[0]).astype(np.int64))
        if self.whole:
            known = np.array([*map(int, self.labels), 0], np.float64)
            return {self.names[0]: np.where(absent, np.nan, known[codes])}
        return {self.names[0]: Coded(codes.astype(np.int32), Texts(self.labels))}

    def fields(self) -> list[Field]:
        """Return the columns that are written."""
        text = bool(self.labels) and not self.whole
        return [Field(name, TEXT if text else np.dtype(np.float64)) for name in self.names]

    def absent(self, vectors: Any) -> int:
        """Return how many rows have no prediction."""
        first = vectors[self.names[0]]
        return int((first.codes < 0).sum() if isinstance(first, Coded) else np.isnan(first).sum())


def asked_of(fit: Any, kind: str, missing: Any, unseen: Any) -> ClassAsked:
    """Return what a kind of prediction is of a fit.

    Raises
    ------
    UsageError
        No such kind.
    """
    kind = "probability" if kind == "mean" else kind
    options: dict[str, Any] = {"kind": kind, "missing": missing, "unseen": unseen}
    if kind == "class":
        return ClassAsked(**options, made=COLUMNS[:1], labels=fit.classes, whole=fit.whole)
    if kind == "link":
        links = ("link",) if fit.ordered else tuple(f"link_{name}" for name in fit.classes if name != fit.base)
        return ClassAsked(**options, made=links)
    if kind == "probability":
        return ClassAsked(**options, made=tuple(f"probability_{name}" for name in fit.classes))
    raise UsageError(f"predict: no kind {kind!r}; it can be 'probability', 'class' or 'link'")


def _predicted(fit: Any, rows: NDArray[Any], kind: str) -> Float:
    """Return what is predicted of rows, shape (columns, m)."""
    low = None
    if fit.powers:
        rows, low = Terms.of(fit.columns, fit.powers).expand(rows)
    z = rows.astype(np.float64) - fit.centre
    if low is not None:
        z += low
    at, slopes, count = fit.at_centre, fit.slopes_at_centre, len(fit.classes)
    if kind == "link":  # of ordered classes without the thresholds, and so about zero
        return np.asarray((rows @ slopes[0])[None] if fit.ordered else (at + z @ slopes.T).T)
    if fit.ordered:
        found = Ordered(count, len(fit.centre), fit.link).probabilities(np.append(at, slopes[0]), z)
    else:
        z = np.column_stack([np.ones(len(z)), z])
        model = Multinomial(count, z.shape[1], fit.classes.index(fit.base))
        found = model.probabilities(np.column_stack([at, slopes]).ravel(), z)
    return found.argmax(axis=1)[None].astype(np.float64) if kind == "class" else found.T


def collected(fit: Any, data: Any, asked: ClassAsked, **workers: Any) -> NDArray[Any]:
    """Return what is predicted of all rows of an array, a frame or a source."""
    if not isinstance(data, Source):
        refuse_elsewhere(data)
        if "formula" not in fit.encoder and isinstance(data, list | np.ndarray):
            columns = stored_columns(fit)
            data = sources.open(table(data, "predict", columns)[0], columns=columns)
        data = sources.open(data)
        workers["progress"] = False
    run = Run.of(workers.get("threads"), workers.get("engine"), workers.get("progress"))
    chunks = [chunk.vectors for _, chunk in stream(fit, data, asked, engine=run)]
    first = [chunk[asked.names[0]] for chunk in chunks]
    if asked.labels and not asked.whole:
        coded = [part for part in first if isinstance(part, Coded)]
        return np.array([text for part in coded for text in part.texts()], dtype=object)
    joined = [np.concatenate([np.asarray(chunk[name]) for chunk in chunks]) for name in asked.names]
    if asked.labels:
        (found,) = joined
        return found if np.isnan(found).any() else found.astype(np.int64)
    return joined[0] if asked.kind == "link" and fit.ordered else np.column_stack(joined)


class ClassPredictor:
    """Base of fits that predict classes and their probabilities."""

    @typed
    def predict(
        self,
        data: Any,
        kind: ClassKind = "probability",
        unseen: Literal["error", "reference", "own", "missing"] = "error",
        *,
        missing: Literal["error", "drop"] = "drop",
        to: str | os.PathLike[str] | None = None,
        id: str | Sequence[str] = (),
        append: bool = False,
        force: bool = False,
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
    ) -> Any:
        """Return the probabilities of the classes, or the most probable class.

        Parameters
        ----------
        data : array of shape (m, number of columns), data frame, or Source
            As for `FitResult.predict`.
        kind : {"probability", "class", "link"}
            "mean" is "probability". "link": the linear predictors.
        unseen, missing, to, id, append, force, threads, progress, engine
            As for `FitResult.predict`. A file has a column ``probability_`` and the name of the class for each of
            them, or ``prediction`` for the class.

        Returns
        -------
        ndarray
            Probabilities of shape (m, K). Classes of shape (m,): whole numbers, or texts as objects; where a value is
            missing NaN, or None. Links of shape (m, K - 1) or, of ordered classes, (m,). With `to`: `Written`.

        Raises
        ------
        UsageError
            No such `kind`, or no rows.
        DataError
            The array has another number of columns, or is not of numbers.
        NotFound
            The data lack a column.
        """
        workers: dict[str, Any] = {"threads": threads, "progress": progress, "engine": engine}
        fit: Any = self
        if to is not None:
            options: dict[str, Any] = {"unseen": unseen, "missing": missing, "id": id, "append": append, "force": force}
            return predict_to(to, fit, data, kind, **options, **workers)
        if id or append or force:
            raise UsageError("id, append and force are for predictions that are written; pass to='predictions.parquet'")
        return collected(fit, data, asked_of(self, kind, missing, unseen), **workers)

    def asked(self, kind: str, missing: Any, unseen: Any, interval: Any) -> ClassAsked:
        """Return what is to be predicted, as predictions that are written ask for it."""
        if interval is not None:
            raise UsageError("predict: probabilities of classes have no intervals; leave interval out")
        return asked_of(self, kind, missing, unseen)
