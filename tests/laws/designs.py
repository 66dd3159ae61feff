"""Rows to hold the laws on: condition numbers, offsets, weights, with and without an intercept."""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import streamreg as sr
from streamreg.sources.base import Source

Float = NDArray[np.float64]
Weights = Literal["", "analytic", "frequency"]

ROWS, NAMES, KEYS = 60, ("a", "b", "c", "d"), ("few", "many")


@dataclass(frozen=True)
class Design:
    """What rows are made of: `condition` is that of the columns without their `offset`."""

    condition: float
    offset: float
    weights: Weights
    intercept: bool
    noise: float = 1.0

    def __str__(self) -> str:
        parts = [f"1e{np.log10(self.condition):.0f}", f"at {self.offset:.0e}", self.weights, f"noise {self.noise:g}"]
        return ", ".join([*filter(None, parts), *([] if self.intercept else ["no intercept"])])

    def table(self) -> "Table":
        """Return the rows; the same for the same design."""
        rng = np.random.default_rng([int(np.log10(self.condition)), int(np.log10(1 + self.offset)), self.intercept])
        q, _ = np.linalg.qr(rng.normal(size=(ROWS, len(NAMES))))
        turn, _ = np.linalg.qr(rng.normal(size=(len(NAMES), len(NAMES))))
        x = q * np.geomspace(1.0, 1.0 / self.condition, len(NAMES)) @ turn.T * np.sqrt(ROWS) * [1.0, 30.0, 0.2, 1.0]
        x += self.offset * np.array([1.0, 30.0, 0.0, -1.0])
        y = x @ [1.0, -0.05, 3.0, 0.5] + self.noise * rng.normal(size=ROWS) + 2.0
        weight = {"": None, "analytic": rng.gamma(2.0, size=ROWS), "frequency": rng.integers(1, 5, ROWS) * 1.0}
        keys = np.column_stack([np.arange(ROWS) * 3 // ROWS, rng.permutation(ROWS) % 14])
        return Table(x, y, weight[self.weights], keys, self.weights == "frequency", self.intercept)


@dataclass(frozen=True)
class Table:
    """Rows, and what is asked of them."""

    x: Float
    y: Float
    weight: Float | None
    keys: NDArray[np.int64]
    frequency: bool
    intercept: bool

    def source(self) -> Source:
        """Return the rows as a source with two columns of clusters beside them."""
        columns = [*NAMES, *KEYS]
        parts = (np.column_stack([self.x, self.keys]), self.y)
        return sr.open(parts if self.weight is None else (*parts, self.weight), columns=columns)

    @property
    def options(self) -> dict[str, object]:
        """Options that all models take."""
        kind = "frequency" if self.frequency else "analytic"
        return {"features": NAMES, "intercept": self.intercept, "weight_kind": kind}


def _every() -> list[Design]:
    """Every condition with every offset; weights and intercepts take turns, so that each meets each of those."""
    kinds = list(product(("", "analytic", "frequency"), (True, False)))
    pairs = list(product((1e0, 1e2, 1e4, 1e6, 1e7, 1e8, 1e10, 1e12), (0.0, 1e3, 1e6, 1e9)))
    found = [Design(c, o, *kinds[(k + turn) % 6]) for k, (c, o) in enumerate(pairs) for turn in (0, 1, 4)]
    return [*found, *(Design(c, 1e3, "", True, 1e-6) for c in (1e0, 1e4, 1e8))]


DESIGNS = _every()
