"""What the estimate of a family's own parameter asks of the rows, beside a step of the coefficients."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.design.batch import Batch
from streamreg.families import family
from streamreg.kernels import doubledouble as dd
from streamreg.kernels.rows import Rows
from streamreg.line import Line
from streamreg.stats.base import Statistic
from streamreg.stats.response import Response
from streamreg.stats.tree import BlockTree, unchanged
from streamreg.stats.working import WorkingMoments

Float = NDArray[np.float64]


class ParameterSums(Statistic):
    """Log-likelihood and its derivatives by a family's parameter and dispersion, with those across to coefficients.

    Parameters
    ----------
    names : sequence of str
        The p features, then the target.
    family : str
        Spelt with its parameter.
    at : Line
    dispersion : float
    intercept : bool
    frequency : bool
        Whether weights say how often a row occurred.
    """

    def __init__(
        self, names: Sequence[str], family: str, at: Line, dispersion: float, intercept: bool, frequency: bool
    ) -> None:
        self.names, self.family, self.at = tuple(names), family, at
        self.dispersion, self.intercept, self.frequency = dispersion, intercept, frequency
        self.block_rows = WorkingMoments(self.names, family, at, 1.0).block_rows
        self._tree: BlockTree[dd.DD] = BlockTree(dd.add, unchanged)
        self._squares: BlockTree[Float] = BlockTree(np.add, unchanged)

    def fresh(self) -> Self:
        """Return one at the same place that has seen no row."""
        return type(self)(self.names, self.family, self.at, self.dispersion, self.intercept, self.frequency)

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of the rows."""
        return float(self._tree.total()[0][0])

    def derivatives(self) -> tuple[Float, Float]:
        """Return the score, shape (k,), and minus the second derivatives, shape (k, k)."""
        sums, k = self._tree.total()[0], family(self.family).parameters
        return sums[1 : 1 + k], -sums[1 + k : 1 + k + k * k].reshape(k, k)

    def profiled(self) -> Float:
        """Return the information that is left of the parameters where the coefficients follow them, shape (k, k)."""
        k = family(self.family).parameters
        sums = self._tree.total()[0]
        across = -sums[1 + k + k * k :].reshape(k, -1)
        square = self._squares.total()
        size = np.sqrt(np.maximum(np.diag(square), np.finfo(float).tiny))
        scaled = across / size
        solved = np.linalg.lstsq(square / size[:, None] / size, scaled.T, rcond=1e-12)[0]
        return np.asarray(self.derivatives()[1] - scaled @ solved)

    def _absorb(self, batch: Batch) -> None:
        facts = family(self.family)
        found = Response.of(batch, facts, self.names[-1])
        rows = Rows(batch.x, self.at.centre, batch.low)
        z = rows.centred()
        eta = z @ self.at.coef + self.at.at + (0.0 if found.offset is None else found.offset)
        if self.intercept:
            z = np.column_stack([np.ones(len(z)), z])
        one = np.ones_like(found.y)
        times, precision = (found.own, one) if self.frequency else (one, found.own)
        terms = facts.by_parameters(found.y, eta, times, precision, self.dispersion)
        sums = [np.array([terms.log_lik.sum()]), terms.first.sum(axis=1), terms.second.sum(axis=2).ravel()]
        sums.append((terms.across @ z).ravel())
        block = batch.start // self.block_rows
        self._tree.push(block, dd.from_float(np.concatenate(sums)))
        self._squares.push(block, z.T @ (terms.information[:, None] * z))

    def _join(self, other: Self) -> None:
        self._tree.join(other._tree.nodes)
        self._squares.join(other._squares.nodes)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return one row of sums for each node of the trees."""
        nodes, squares = self._tree.nodes, self._squares.nodes
        k, q = family(self.family).parameters, len(self.names) - 1 + self.intercept
        meta = {
            "names": self.names,
            "family": self.family,
            "dispersion": self.dispersion,
            "intercept": self.intercept,
            "frequency": self.frequency,
            "rows": [self.n, self.n_read, self.n_missing],
        }
        return {
            "meta": np.array(json.dumps(meta)),
            "centre": self.at.centre,
            "line": np.append(self.at.coef, self.at.at),
            "place": np.array([place for *place, _ in nodes], dtype=np.int64).reshape(-1, 2),
            "sums": np.array([sums for *_, sums in nodes]).reshape(-1, 2, 1 + k + k * k + k * q),
            "squares": np.array([square for *_, square in squares]).reshape(-1, q, q),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""
        meta = json.loads(str(arrays["meta"]))
        line = Line(arrays["centre"], arrays["line"][:-1], float(arrays["line"][-1]))
        self = cls(meta["names"], meta["family"], line, meta["dispersion"], meta["intercept"], meta["frequency"])
        self.n, self.n_read, self.n_missing = meta["rows"]
        pairs = zip(arrays["place"].tolist(), arrays["sums"], arrays["squares"], strict=True)
        for (level, index), (high, low), square in pairs:
            self._tree.join([(level, index, (high, low))])
            self._squares.join([(level, index, square)])
        return self


class JointStep(Statistic):
    """A step of the coefficients and one of the parameters, of the same pass.

    Parameters
    ----------
    working : WorkingMoments
    parameter : ParameterSums
    """

    def __init__(self, working: WorkingMoments, parameter: ParameterSums) -> None:
        self.working, self.parameter = working, parameter
        self.names, self.block_rows = working.names, working.block_rows

    def fresh(self) -> Self:
        """Return one at the same place that has seen no row."""
        return type(self)(self.working.fresh(), self.parameter.fresh())

    def settle(self) -> None:
        """Finish the moments."""
        self.working.settle()

    def _absorb(self, batch: Batch) -> None:
        self.working.update(batch)
        self.parameter.update(batch)

    def _join(self, other: Self) -> None:
        self.working.merge(other.working)
        self.parameter.merge(other.parameter)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of both."""
        parts = {"working": self.working, "parameter": self.parameter}
        arrays = {f"{name}/{key}": a for name, part in parts.items() for key, a in part.to_arrays().items()}
        return arrays | {"meta": np.array(json.dumps(self.counts()))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the state."""

        def of(part: str) -> dict[str, NDArray[Any]]:
            return {key.partition("/")[2]: a for key, a in arrays.items() if key.startswith(f"{part}/")}

        self = cls(WorkingMoments.from_arrays(of("working")), ParameterSums.from_arrays(of("parameter")))
        counts = json.loads(str(arrays["meta"]))
        self.n, self.n_read, self.n_missing = counts["n"], counts["n_read"], counts["n_missing"]
        return self
