"""Losses of several models on the same rows, side by side: what tells whether one of them is better."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.families import family as family_of
from streamreg.stats.base import Statistic
from streamreg.stats.moments import Moments
from streamreg.stats.response import checked_target

Float = NDArray[np.float64]
Predict = Callable[[NDArray[Any]], Float]

_REACH, _BINS = 32.0, 2**16  # predictions are counted in bins of a thousandth of a logit, from -32 to 32


@dataclass(frozen=True, slots=True)
class Scored:
    """A model as rows see it.

    Attributes
    ----------
    name : str
    columns : tuple of int
        Which columns of a batch it takes, in its order.
    link : callable
        From those columns, shape (m, k), to the linear predictor (the link of the predicted mean), shape (m,).
    """

    name: str
    columns: tuple[int, ...]
    link: Predict


class Losses(Statistic):
    """Moments of the losses of models, of the target, and of what the loss of a constant is made of.

    Differences between models on the same rows, and their standard errors, follow from these: the losses of two models
    go up and down together, so the error of a difference is far smaller than that of either loss.

    Parameters
    ----------
    models : sequence of Scored
    family : str
        Its deviance is the loss: squared error for gaussian, twice the cross-entropy for binomial.
    shift : float
        A number near the target, subtracted from it and from gaussian predictions.
    target : str
        For messages.

    Notes
    -----
    Cost: one pass for all models, ``8 q**2`` bytes for each level of the tree, q being twice their number and two; in
    the binomial family a megabyte for each model.
    """

    def __init__(self, models: Sequence[Scored], family: str, shift: float, target: str | None) -> None:
        self.models, self.family, self.shift, self.target = tuple(models), family, shift, target
        self.labels = family_of(family).labels
        losses = [f"loss {k}" for k in range(len(models))]
        hits = [f"hit {k}" for k in range(len(models))] if self.labels else []
        self.moments = Moments([*losses, *hits, "y", "curved"])
        self.block_rows = self.moments.block_rows
        self._tallies: Float | None = None  # made with the first rows, as empty statistics travel

    @property
    def tallies(self) -> Float:
        """Weight of the rows by model, label and bin of the prediction, shape (models, 2, bins); labels only."""
        if self._tallies is None:
            self._tallies = np.zeros((len(self.models) if self.labels else 0, 2, _BINS))
        return self._tallies

    @tallies.setter
    def tallies(self, value: Float) -> None:
        self._tallies = value

    def fresh(self) -> Self:
        """Return an empty statistic of the same models."""
        return type(self)(self.models, self.family, self.shift, self.target)

    def _absorb(self, batch: Batch) -> None:
        facts = family_of(self.family)
        y = checked_target(batch, facts, self.target or "")
        own = y - self.shift
        losses, hits = [], []
        for k, model in enumerate(self.models):
            x = batch.x if model.columns == tuple(range(batch.x.shape[1])) else batch.x[:, model.columns]
            eta = model.link(x)
            if eta.shape != y.shape or not np.isfinite(eta).all():
                wrong = "predictions that are not finite" if eta.shape == y.shape else f"shape {eta.shape}"
                raise DataError(f"rows from {batch.start:,}: model {model.name!r} gives {wrong} for {len(y)} rows")
            losses.append(facts.deviance(own, eta - self.shift))
            if self.labels:
                hits.append(np.where(eta >= 0, y, 1.0 - y))
                self._count(k, y, eta, batch.weight)
        table = np.column_stack([*losses, *hits, own, facts.curved(own)])
        self.moments.update(Batch(table, None, batch.weight, batch.start, batch.read, batch.missing))

    def _count(self, k: int, y: Float, eta: Float, weight: Float | None) -> None:
        bins = np.clip((eta + _REACH) * (_BINS / (2 * _REACH)), 0, _BINS - 1).astype(np.int64)
        prior = np.ones(len(y)) if weight is None else weight
        for label, share in enumerate((1.0 - y, y)):
            self.tallies[k, label] += np.bincount(bins, prior * share, _BINS)

    def _join(self, other: Self) -> None:
        if [m.name for m in other.models] != [m.name for m in self.models] or other.shift != self.shift:
            raise DataError("losses of different models do not merge")
        self.moments.merge(other.moments)
        if other._tallies is not None:
            self.tallies += other.tallies

    def auc(self, k: int) -> tuple[float, float]:
        """Return the area under the ROC curve of a model, and how far it may be off.

        The share of pairs of a label 1 and a label 0 that the predictions put in the right order, those in one bin
        counting half (Hanley & McNeil 1982, *Radiology* 143); the true order of these is what is not known.
        """
        zeros, ones = self.tallies[k]
        pairs = float(zeros.sum() * ones.sum())
        if not pairs:
            return float("nan"), float("nan")
        below = np.cumsum(zeros) - zeros
        same = float(zeros @ ones) / 2
        return (float(below @ ones) + same) / pairs, same / pairs

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays; the models themselves are not in it."""
        about = {"names": [m.name for m in self.models], "family": self.family, "shift": self.shift}
        meta = json.dumps({**self.counts(), **about, "target": self.target})
        inner = {f"moments.{name}": array for name, array in self.moments.to_arrays().items()}
        return inner | {"meta": np.array(meta), "tallies": self.tallies}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state, to be read and merged: its models are names only."""
        meta = json.loads(str(arrays["meta"]))
        self = cls([Scored(n, (), _absent) for n in meta["names"]], meta["family"], meta["shift"], meta["target"])
        self.n, self.n_read, self.n_missing = meta["n"], meta["n_read"], meta["n_missing"]
        inner = {name.removeprefix("moments."): a for name, a in arrays.items() if name.startswith("moments.")}
        self.moments, self._tallies = Moments.from_arrays(inner), arrays["tallies"].copy()
        return self


def _absent(x: NDArray[Any]) -> Float:
    raise DataError("this state was saved without its models; score the rows again")
