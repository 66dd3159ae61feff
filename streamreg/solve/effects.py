"""Effects of all factors but the one with most levels: a sparse system, which may be singular.

Its matrix is ``A = D - N' diag(1/n) N``: D the cross-products of the indicators of these factors, N how often their
levels meet those of the first factor, n the weights of the latter.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamreg.solve.iterations import Applied, formed, sparse_solution

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float = NDArray[np.float64]
Int = NDArray[np.int64]

DENSE = 4000
"""Levels up to which the matrix is factored whole."""

_NOTHING = 1e-12  # share of the rows of a level, below which the levels of the first factor determine it
_TOLD = 1e-9  # share of a level that others must leave, to tell from their rounding


@dataclass(frozen=True, slots=True)
class Solved:
    """Effects.

    Attributes
    ----------
    values : ndarray of shape (m, q)
        Zero for levels that others determine.
    explained : ndarray of shape (q, q)
        ``B' A^-1 B`` for right-hand sides B, up to the square of the error of the values.
    rank : int
        Levels that no others determine.
    ranked : bool
        Whether that is the rank, rather than a bound of it.
    method : str
    products : int
    residual : float
    """

    values: Float
    explained: Float
    rank: int
    ranked: bool
    method: str
    products: int
    residual: float


def redundant(pairs: tuple[NDArray[np.int32], NDArray[np.int32], Float], first: int, second: int) -> Int:
    """Return the levels of the second factor whose effects those of the first, and of its other levels, determine.

    One for each connected component of the graph in which levels are joined that meet in a row.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b, _ = pairs
    if np.bincount(a, minlength=first).max() == second:
        return np.zeros(1, dtype=np.int64)  # one level meets all, and each of the others meets one
    places = (a, b + np.int32(first))
    graph = coo_array((np.ones(len(a), np.int8), places), shape=(first + second, first + second))
    labels = connected_components(graph.tocsr(), directed=False)[1][first:]
    return np.asarray(np.unique(labels, return_index=True)[1])


def solve(
    own: "csr_array",
    meets: "csr_array",
    inverse: Float,
    right: Float,
    free: NDArray[np.bool_],
    small: NDArray[np.bool_],
    gross: Float,
    *,
    one: bool,
) -> Solved:
    """Solve ``A U = B`` for the levels in `free`, the others being zero.

    Parameters
    ----------
    own : sparse matrix of shape (m, m)
    meets : sparse matrix of shape (L, m)
    inverse : ndarray of shape (L,)
    right : ndarray of shape (m, q)
    free : bool ndarray of shape (m,)
    small : bool ndarray of shape (m,)
        Levels of factors with few, which are left to the end where there are many others.
    gross : ndarray of shape (q,)
        Squared norms of the columns.
    one : bool
        Whether the levels that are not small are of one factor: the rows of their part of A then add up to zero.

    Notes
    -----
    Cost: up to `DENSE` levels m, ``m**3 / 3`` operations and ``16 m**2`` bytes. Else conjugate gradients,
    preconditioned by the diagonal, at as many operations a product as there are pairs; after 50 products a sparse
    factor where its band is narrow. All on one core, so the bits are the same.
    """
    q = right.shape[1]
    if not free.any():
        return Solved(np.zeros_like(right), np.zeros((q, q)), 0, True, "redundant", 0, 0.0)
    if small.any() and free.sum() > DENSE:
        return _bordered(own, meets, inverse, right, free, small, gross, one)
    index, size = np.flatnonzero(free), np.asarray(own.diagonal())
    matrix = formed(own, meets, inverse, index, laplacian := one and not small.any(), always=len(index) <= DENSE)
    if not laplacian:
        kept = matrix.diagonal() > _NOTHING * size[index]
        index, matrix = index[kept], matrix.part(kept) if isinstance(matrix, Applied) else matrix[kept][:, kept]
    wanted = right[index]
    values: Float
    if len(index) <= DENSE:
        dense = matrix.toarray()
        values, rank = _dense(dense, wanted, None if laplacian else size[index])
        found, ranked, method, products = dense @ values, True, "dense Cholesky factor", 0
    else:
        values, products, method = sparse_solution(matrix, wanted)
        found, rank, ranked = matrix @ values, len(index), laplacian
    rest = wanted - found
    norms = np.sqrt(np.einsum("ij,ij->j", rest, rest / matrix.diagonal()[:, None]))
    residual = float(np.max(norms / np.sqrt(np.where(gross > 0, gross, 1.0)), initial=0.0))
    # 2 B'U - U'AU: its error is the square of that of U.
    explained = values.T @ wanted + values.T @ rest
    out = np.zeros_like(right)
    out[index] = values
    return Solved(out, 0.5 * (explained + explained.T), rank, ranked, method, products, residual)


def _bordered(
    own: "csr_array",
    meets: "csr_array",
    inverse: Float,
    right: Float,
    free: NDArray[np.bool_],
    small: NDArray[np.bool_],
    gross: Float,
    one: bool,
) -> Solved:
    """Solve for the levels that are not small, given those that are; then for these, by a full matrix."""
    q, core, edge = right.shape[1], np.flatnonzero(~small), np.flatnonzero(small & free)
    ends = meets[:, edge]
    scaled = ends.multiply(inverse[:, None]).tocsr()
    inner = meets[:, core].tocsr()
    beside = (own[core][:, edge] - inner.T @ scaled).toarray()
    corner = (own[edge][:, edge] - ends.T @ scaled).toarray()
    size = np.asarray(own.diagonal())[edge]
    both = np.hstack([right[core], beside])
    none = np.zeros(len(core), dtype=bool)
    first = solve(
        own[core][:, core].tocsr(), inner, inverse, both, free[core], none, np.concatenate([gross, size]), one=one
    )
    schur, wanted = corner - first.explained[q:, q:], right[edge] - first.explained[q:, :q]
    ends_values, rank = _dense(schur, wanted, size)
    out = np.zeros_like(right)
    out[edge] = ends_values
    out[core] = first.values[:, :q] - first.values[:, q:] @ ends_values
    explained = first.explained[:q, :q] + ends_values.T @ wanted + ends_values.T @ (wanted - schur @ ends_values)
    ranked = first.ranked and one
    return Solved(
        out, 0.5 * (explained + explained.T), first.rank + rank, ranked, first.method, first.products, first.residual
    )


def _dense(matrix: Float, right: Float, size: Float | None) -> tuple[Float, int]:
    """Solve by a Cholesky factor; of a matrix that may be singular, with pivots and zeros for dependent levels.

    `size` is then the diagonal before the first factor was taken out, which rounding is relative to.
    """
    from scipy.linalg import cho_solve, cholesky, lapack

    scale = 1.0 / np.sqrt(matrix.diagonal() if size is None else size)
    scaled = matrix * scale[:, None] * scale
    wanted = right * scale[:, None]
    if size is None:
        lower, kept = cholesky(scaled, lower=True), np.arange(len(matrix))
    else:
        factor, pivots, rank, _ = lapack.dpstrf(scaled, lower=1, tol=_TOLD)
        lower, kept = np.asfortranarray(np.tril(factor[:rank, :rank])), pivots[:rank] - 1
    values = np.zeros_like(wanted)
    values[kept] = cho_solve((lower, True), wanted[kept])
    values[kept] += cho_solve((lower, True), wanted[kept] - scaled[np.ix_(kept, kept)] @ values[kept])
    return values * scale[:, None], len(kept)
