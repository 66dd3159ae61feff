"""What is predicted of rows, as a stream: their fitted values, with columns of the data beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.design.design import Design, Missing
from streamreg.errors import UsageError
from streamreg.families import family
from streamreg.persist.columns import Field
from streamreg.results import intervals
from streamreg.results.estimates import Estimates, Scale
from streamreg.results.fitted import Network, columns_of, factors, linear, needed, of_rows
from streamreg.results.intervals import COLUMNS, Interval, require_intervals
from streamreg.scans.carry import Carrier
from streamreg.scans.formulas import Unseen, as_fitted
from streamreg.scans.run import Run
from streamreg.sources.base import Partition, Source
from streamreg.sources.chunk import Chunk, Column
from streamreg.sources.rows import missing_rows

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be predicted of rows.

    Attributes
    ----------
    kind : {"mean", "link"}
        The mean of the target, or the linear predictor, which a network does not have.
    missing : {"error", "drop"}
        "drop": the prediction for a row with a missing value is NaN, so that predictions stay beside their rows.
    unseen : {"error", "reference", "own", "missing"}
        A level of a category or of an absorbed factor that did not occur in the fit is refused, taken for the
        reference, given no effect, or has no prediction. Of absorbed factors the reference is one with the mean
        of their effects, and so is no effect.
    interval : {"confidence", "prediction"}, optional
        Whether there are columns of standard errors and intervals, too.
    level : float
        Of the intervals.
    """

    kind: Scale = "mean"
    missing: Missing = "drop"
    unseen: Unseen = "error"
    interval: Interval | None = None
    level: float = 0.95

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are predicted."""
        return COLUMNS[:1] if self.interval is None else COLUMNS

    def check(self, fit: Any) -> None:
        """Raise `UsageError` if a fit does not predict this."""
        if self.kind not in ("mean", "link"):
            raise UsageError(f"predict: no kind {self.kind!r}; it can be 'mean' or 'link'")
        if self.missing not in ("error", "drop"):
            raise UsageError(f"predict: missing is {self.missing!r}; it can be 'error' or 'drop'")
        if self.unseen not in ("error", "reference", "own", "missing"):
            raise UsageError(f"predict: unseen is {self.unseen!r}; it can be 'error', 'reference', 'own' or 'missing'")
        if self.kind != "mean" and not isinstance(fit, Estimates):
            raise UsageError(f"a network predicts means, and has no {self.kind}; leave kind out")
        if self.interval is not None:
            require_intervals(fit, self.interval, self.level)

    def of(self, fit: Estimates | Network, rows: NDArray[Any]) -> tuple[Float, ...]:
        """Return the columns of rows that miss no value."""
        if not isinstance(fit, Estimates):
            return (fit.predict(rows),)
        if self.interval is None:
            return (of_rows(fit, rows, self.kind),)
        rows, absent = missing_rows(rows)
        found = intervals.of_rows(fit, rows, self.kind, self.interval, self.level)
        if absent is not None:
            for values in found:
                values[absent] = np.nan
        return found

    def columns(self, values: Float) -> dict[str, Column]:
        """Return the columns as they are written."""
        return dict(zip(self.names, values, strict=True))

    def fields(self) -> list[Field]:
        """Return the columns that are written, with their types."""
        return [Field(name, np.dtype(np.float64)) for name in self.names]

    def absent(self, vectors: Mapping[str, Any]) -> int:
        """Return how many rows have no prediction."""
        return int(np.isnan(np.asarray(vectors[self.names[0]])).sum())


def stream(
    fit: Estimates | Network,
    source: Source,
    asked: Asked,
    carried: tuple[str, ...] = (),
    *,
    engine: Any = None,
) -> Iterator[tuple[int, Chunk]]:
    """Yield what is predicted of consecutive rows of a source, in order, with the number of the first of them.

    Parameters
    ----------
    fit : FitResult or NetworkResult
    source : Source
        Must have the columns of the fit; others, a target among them, are not looked at.
    asked : Asked
    carried : tuple of str
        Columns of the data that are taken along.
    engine : optional
        Who works on the rows, as in `streamreg.scan`; a network predicts in this process.

    Raises
    ------
    NotFound
        A column of the fit is not in the source.
    NonFiniteError
        Infinity, or NaN unless `missing` is "drop".
    UsageError
        The fit does not predict what is asked for.
    """
    asked.check(fit)
    run = Run.of(engine=engine)
    if not (run.engine.in_process or hasattr(fit, "columns")):
        raise UsageError("a network predicts in this process; leave out engine")
    columns = columns_of(fit)
    source = as_fitted(source, fit.encoder, target=False, unseen=asked.unseen)
    for name in needed(fit):
        source.schema.require(name, source.label)
    design = Design(source.label, columns, missing=asked.missing, keys=factors(fit))
    work = partial(_of_partition, fit=fit, design=design, asked=asked, carried=carried)
    yield from run.map(work, source, tuple(dict.fromkeys((*design.columns, *carried))), "predict")


def _of_partition(
    partition: Partition, *, fit: Estimates | Network, design: Design, asked: Asked, carried: tuple[str, ...]
) -> Chunk:
    carrier = Carrier(carried)
    pieces: list[NDArray[np.float64]] = []
    for chunk in carrier.watched(partition, 4096):
        if isinstance(fit, Estimates) and fit.absorbed is not None:
            pieces.append(_with_effects(fit, design.batch(chunk), asked)[None])
            continue
        x, complete = design.rows(chunk)
        values = np.full((len(asked.names), len(chunk)), np.nan)
        for row, found in zip(values, asked.of(fit, x), strict=True):
            row[complete] = found
        pieces.append(values)
    made = np.concatenate(pieces, axis=1) if pieces else np.zeros((len(asked.names), 0))
    return Chunk(partition.start, np.empty((made.shape[1], 0)), (), carrier.columns() | asked.columns(made))


def _with_effects(fit: Estimates, batch: Batch, asked: Asked) -> Float:
    """Return the fitted values of rows with levels of absorbed factors; NaN for those with a missing value."""
    assert fit.absorbed is not None
    assert batch.keys is not None
    eta = linear(fit, batch.x) + fit.absorbed.at(batch.keys, asked.unseen, batch.labels)
    values = np.full(batch.read, np.nan)
    kept = slice(None) if batch.kept is None else batch.kept
    values[kept] = eta if asked.kind == "link" else family(fit.family).mean(eta)
    return values
