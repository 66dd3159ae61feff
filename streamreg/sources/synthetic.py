"""Rows made from a seed: every block can be made alone, and is the same whoever asks for it."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Float = NDArray[np.float64]

TARGET = "y"

# What a stream of random numbers is for: streams of one seed are independent of each other.
_FEATURES, _NOISE, _COEFFICIENTS = range(3)


class Recipe(BaseModel):
    """Which rows to make.

    Columns x0, x1, ... are standard normal. The target is ``intercept + x'coef`` plus normal noise, or 1 with the
    probability whose logit that is.

    Parameters
    ----------
    rows, columns : int
    kind : {"linear", "logistic"}
    seed : int
        The same seed gives the same numbers.
    noise : float, optional
        Standard deviation of the noise of a linear target; default 1. A logistic target has none.
    correlation : float
        Of each column with the next one; a first-order autoregression across the columns.
    dtype : {"float64", "float32", "float16"}
        Features are drawn in float64 and rounded to this; the target is computed from the rounded ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(gt=0)
    columns: int = Field(gt=0)
    kind: Literal["linear", "logistic"] = "linear"
    seed: int = Field(default=0, ge=0, lt=2**64)
    noise: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    correlation: float = Field(default=0.0, gt=-1, lt=1)
    dtype: Literal["float64", "float32", "float16"] = "float64"

    @model_validator(mode="after")
    def _no_noise_in_logits(self) -> "Recipe":
        if self.kind == "logistic" and self.noise is not None:
            raise ValueError(
                "noise is for kind 'linear' (a logistic target is drawn from its probability); leave it out"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(f"x{i}" for i in range(self.columns))

    @property
    def coef(self) -> Float:
        """True coefficients, shape (columns,); a logistic one has logits of standard deviation about 1.5."""
        drawn = self._random(_COEFFICIENTS).standard_normal(self.columns)
        return drawn if self.kind == "linear" else drawn * (1.5 / np.sqrt(self.columns))

    @property
    def intercept(self) -> float:
        """True intercept."""
        return float(self._random(_COEFFICIENTS, 1).standard_normal())

    @property
    def block_rows(self) -> int:
        """Rows of a block: a power of two, about two megabytes; it depends on the number of columns alone."""
        return max(64, 1 << max(0, (2**18 // self.columns).bit_length() - 1))

    def blocks(self) -> range:
        """Return the numbers of all blocks."""
        return range(-(-self.rows // self.block_rows))

    def block(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Make one block of rows.

        Returns
        -------
        x : ndarray of shape (m, columns)
        y : ndarray of shape (m,)
        """
        m = min(self.block_rows, self.rows - index * self.block_rows)
        z = self._random(_FEATURES, index).standard_normal((m, self.columns))
        if self.correlation:
            z[:, 1:] *= np.sqrt(1 - self.correlation**2)
            for j in range(1, self.columns):
                z[:, j] += self.correlation * z[:, j - 1]
        x = z.astype(self.dtype, copy=False)
        # Not BLAS, whose sums may depend on its number of threads.
        linear = self.intercept + np.einsum("ij,j->i", x.astype(np.float64, copy=False), self.coef)
        chance = self._random(_NOISE, index)
        if self.kind == "logistic":
            y = chance.random(m) < 1 / (1 + np.exp(-linear))
        else:
            y = linear + (1.0 if self.noise is None else self.noise) * chance.standard_normal(m)
        return x, y.astype(self.dtype)

    def _random(self, stream: int, block: int = 0) -> np.random.Generator:
        """Return a counter-based generator (Salmon et al. 2011, *Parallel random numbers: as easy as 1, 2, 3*)."""
        return np.random.Generator(np.random.Philox(key=self.seed + (stream << 64), counter=block << 128))
