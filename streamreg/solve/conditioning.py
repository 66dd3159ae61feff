"""Which columns make a problem ill-conditioned, and what that costs in variance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import typed
from streamreg.reporting.result import Final
from streamreg.reporting.table import Column, Table

Float = NDArray[np.float64]

# Belsley, Kuh & Welsch (1980), section 3.2: a condition index from 30 on is trouble for those columns of whose variance
# it takes half or more.
INDEX = 30.0
SHARE = 0.5


@dataclass(frozen=True, slots=True)
class NearDependency:
    """Columns that together are nearly constant.

    Attributes
    ----------
    index : float
        Condition index: how many times shorter this combination is than the longest, columns scaled to unit norm.
    terms : tuple of (str, float)
        Columns joined, with their weights on unit-norm columns; greatest first.
    shares : tuple of float
        What part of the variance of each one's coefficient is due to this direction.
    """

    index: float
    terms: tuple[tuple[str, float], ...]
    shares: tuple[float, ...]

    def __str__(self) -> str:
        text = ""
        for k, (name, value) in enumerate(self.terms):
            sign = " - " if value < 0 else " + "
            text += ("-" if value < 0 else "") if not k else sign
            text += f"{abs(value):.2g} {name}"
        return f"condition index {self.index:.3g}: {text} is nearly constant (columns scaled to unit norm)"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Conditioning(Final):
    """How nearly the columns of a design depend on each other.

    Attributes
    ----------
    vif : ndarray of shape (p,)
        Variance inflation factors: how much wider a squared standard error is than it would be if the column were
        uncorrelated with the others. Infinite for coefficients that are not identifiable.
    indices : ndarray of shape (r,)
        Condition indices of the independent columns, greatest first.
    proportions : ndarray of shape (r, p)
        Part of each coefficient's variance that each direction takes; columns add up to 1 (NaN for dependent columns).
    near : tuple of NearDependency
        The directions worth a word, worst first.
    names : tuple of str
        The p columns.
    """

    KIND: ClassVar[str] = "conditioning"

    vif: Float
    indices: Float
    proportions: Float
    near: tuple[NearDependency, ...]
    names: tuple[str, ...] = ()

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return the columns with their variance inflation factors, the `rows` most inflated of them."""
        index, vif = self.indices.max(initial=1.0), self.vif.max(initial=1.0)
        order = np.argsort(-self.vif, kind="stable")[:rows]
        facts = [("greatest condition index", f"{index:.4g}"), ("greatest VIF", f"{vif:.4g}")]
        columns = [
            Column.of("column", [self.names[k] for k in order], header=""),
            Column.of("vif", self.vif[order], lambda v: f"{v:.4g}", "VIF"),
        ]
        notes = [f"The {len(order)} most inflated of {len(self.vif)}."] if len(order) < len(self.vif) else []
        return Table("Conditioning of the columns", facts, columns, [*notes, *map(str, self.near)])

    def _sense(self) -> None:
        if not len(self.names) == len(self.vif) == self.proportions.shape[1]:
            raise ValueError("names, vif and proportions are not of one length")

    def __repr__(self) -> str:
        return f"<Conditioning of {len(self.vif)} columns: {len(self.near)} near dependencies>"


_GRADED = 1e6  # condition numbers beyond which eigenvalues of float64 products lose the smaller ones


def _principal(root: Float) -> tuple[Float, Float]:
    """Return eigenvalues of ``root'root`` in increasing order, and the eigenvectors as columns.

    Beyond a condition of a million by Jacobi rotations (Drmac & Veselic 2008, *SIAM Journal on Matrix Analysis and
    Applications* 29), which keep the digits of the small ones: rows of `root` may differ by that much in size.
    """
    if float(np.abs(root).max()) < _GRADED:
        variances, directions = np.linalg.eigh(root.T @ root)
        return np.asarray(variances), np.asarray(directions)
    from scipy.linalg.lapack import dgejsv

    # Of the transposed matrix, whose columns differ in size rather than its rows.
    values, left, _, work, _, info = dgejsv(root.T, joba=0, jobu=0, jobv=3)
    if info:
        variances, directions = np.linalg.eigh(root.T @ root)
        return np.asarray(variances), np.asarray(directions)
    values = values * (work[0] / work[1])
    return np.asarray(values[::-1] ** 2), np.asarray(left[:, ::-1])


def analyse(
    names: Sequence[str], root: Float, kept: NDArray[np.int64], identifiable: NDArray[np.bool_]
) -> Conditioning:
    """Decompose the variances of the coefficients by the principal directions of the scaled design.

    Columns are centred if the problem has an intercept (collinearity with the constant is an offset, which costs no
    digits here) and scaled to unit norm.

    Parameters
    ----------
    names : sequence of str
        The p columns.
    root : ndarray of shape (r, r)
        Inverse of the lower Cholesky factor of the independent columns' cross-products scaled to unit diagonal.
    kept : int ndarray of shape (r,)
        The independent columns.
    identifiable : bool ndarray of shape (p,)

    Notes
    -----
    Belsley, Kuh & Welsch (1980), *Regression Diagnostics*, section 3.2. Cost: ``10 r**3`` operations.
    """
    p, r = len(names), len(kept)
    vif, proportions = np.full(p, np.inf), np.full((r, p), np.nan)
    if not r:
        return Conditioning(vif, np.zeros(0), proportions, (), tuple(names))
    variances, directions = _principal(root)
    # No eigenvalue of a Gram matrix of unit diagonal exceeds r; but restricted slopes have directions without variance.
    variances, directions = np.maximum(variances[::-1], 1.0 / r), directions[:, ::-1]
    indices = np.sqrt(variances / variances[-1])
    parts = directions**2 * variances
    known = identifiable[kept]
    vif[kept[known]] = (root**2).sum(axis=0)[known]
    proportions[:, kept] = (parts / parts.sum(axis=1, keepdims=True)).T
    near = []
    for k in np.flatnonzero(indices >= INDEX):
        share = proportions[k, kept]
        joined = np.flatnonzero(share >= SHARE)
        if len(joined) < 2:
            # The variance is spread over several directions: take the columns that weigh most in this one.
            joined = np.flatnonzero(np.abs(directions[:, k]) >= 0.3 * np.abs(directions[:, k]).max())
        joined = joined[np.argsort(-np.abs(directions[joined, k]), kind="stable")]
        sign = np.sign(directions[joined[0], k])
        near.append(
            NearDependency(
                index=float(indices[k]),
                terms=tuple((names[kept[j]], float(sign * directions[j, k])) for j in joined),
                shares=tuple(float(share[j]) for j in joined),
            )
        )
    return Conditioning(vif, indices, proportions, tuple(near), tuple(names))
