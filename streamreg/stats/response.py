"""The target of a generalised linear model with what stands beside it: weight, trials, offset and exposure."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.errors import DataError
from streamreg.families.base import Family

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Response:
    """Rows of a target.

    Attributes
    ----------
    y : ndarray of shape (m,)
        What has a mean: the share of successes, where there are trials.
    own : ndarray of shape (m,)
        The rows' own weights.
    prior : ndarray of shape (m,)
        Weights times trials: what the information of a row is multiplied by.
    offset : ndarray of shape (m,) or None
        What the linear predictor is moved by: the offset, and the logarithm of the exposure.
    trials : ndarray of shape (m,) or None
    """

    y: Float
    own: Float
    prior: Float
    offset: Float | None
    trials: Float | None

    @classmethod
    def of(cls, batch: Batch, facts: Family, name: str) -> Self:
        """Read the target `name` of a batch, and what stands beside it.

        Raises
        ------
        DataError
            A target that the family cannot have, an exposure or trials that are not positive, or more successes than
            trials; says the row.
        """
        assert batch.y is not None
        own = np.ones(len(batch)) if batch.weight is None else batch.weight
        trials, exposure, offset = (batch.beside.get(role) for role in ("trials", "exposure", "offset"))
        if trials is None:
            y, prior = checked_target(batch, facts, name), own
        else:
            count = batch.y.astype(np.float64)
            _require(batch, trials > 0, "trials", trials, "trials are above 0; leave the row out")
            good = (count >= 0) & (count <= trials)
            _require(batch, good, f"column {name!r}", count, "successes are between 0 and the trials of the row")
            y, prior = count / trials, own * trials
        if exposure is not None:
            _require(batch, exposure > 0, "exposure", exposure, "exposures are above 0; leave the row out")
            offset = np.log(exposure) if offset is None else offset + np.log(exposure)
        return cls(y, own, prior, offset, trials)

    @property
    def counts(self) -> Float:
        """The target as it is stored: successes, where there are trials."""
        return self.y if self.trials is None else np.asarray(self.y * self.trials)

    def choices(self, facts: Family, frequency: bool) -> Float:
        """Return what the log-likelihood of each row has beside saturated likelihood, deviance and dispersion."""
        if self.trials is not None:
            return self.own * facts.choices(self.y, self.trials)
        if facts.dispersion_known:
            return facts.choices(self.y, self.prior)
        one = np.ones_like(self.y)
        return facts.choices(self.y, one) * (self.own if frequency else one)


def checked_target(batch: Batch, facts: Family, name: str) -> Float:
    """Return the target as float64.

    Raises
    ------
    DataError
        A value that the family cannot have; says the row.
    """
    assert batch.y is not None
    y = batch.y.astype(np.float64)
    words = f"a {facts.name} target is {facts.requirement}; recode it, or choose another family"
    _require(batch, facts.valid(y), f"column {name!r}", y, words)
    return y


def row_of(batch: Batch, i: int) -> str:
    """Return the words for the row of the source that row `i` of a batch is."""
    if batch.kept is not None:
        return f"row {batch.start + int(batch.kept[i]):,}"
    whole = batch.read == len(batch)
    return f"row {batch.start + i:,}" if whole else f"rows {batch.start:,} to {batch.start + batch.read - 1:,}"


def _require(batch: Batch, good: NDArray[np.bool_], what: str, values: Float, words: str) -> None:
    if not good.all():
        i = int(np.argmin(good))
        raise DataError(f"{row_of(batch, i)} (from 0), {what}: {values[i]:g}; {words}")
