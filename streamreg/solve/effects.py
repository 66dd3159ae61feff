"""Effects of all factors but the one with most levels: a sparse system, which may be singular.

Its matrix is ``A = D - N' diag(1/n) N``: D the cross-products of the indicators of these factors, N how often their levels
meet those of the first factor, n the weights of the latter.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamreg.solve.rank import UNIT

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float = NDArray[np.float64]
Int = NDArray[np.int64]

DENSE = 4000
"""Levels up to which the matrix is factored whole."""

_SHORT, _LONG = 50, 5000  # products with the matrix before it is factored, and at most
_CLOSE = 1e-11  # residual at which products end
_FILL = 4e7  # entries of a sparse factor that may be taken
_NOTHING = 1e-12  # share of the rows of a level, below which the levels of the first factor determine it
_FORMED = 50.0  # times the pairs that forming the matrix may cost


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


def components(pairs: tuple[Int, Int, Float], first: int, second: int) -> int:
    """Return how many sets of levels of two factors no row connects."""
    return len(redundant(pairs, first, second))


def redundant(pairs: tuple[Int, Int, Float], first: int, second: int) -> Int:
    """Return the levels of the second factor whose effects those of the first, and of its other levels, determine.

    One for each connected component of the graph in which levels are joined that meet in a row.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b, _ = pairs
    places = (a.astype(np.int32), (b + first).astype(np.int32))
    graph = coo_array((np.ones(len(a), np.int8), places), shape=(first + second, first + second))
    labels = connected_components(graph.tocsr(), directed=False)[1][first:]
    return np.asarray(np.unique(labels, return_index=True)[1])


def solve(
    own: "csr_array", meets: "csr_array", inverse: Float, right: Float, free: Int, gross: Float, *, laplacian: bool
) -> Solved:
    """Solve ``A U = B`` for the levels in `free`, the others being zero.

    Parameters
    ----------
    own : sparse matrix of shape (m, m)
    meets : sparse matrix of shape (L, m)
    inverse : ndarray of shape (L,)
    right : ndarray of shape (m, q)
    free : int ndarray
    gross : ndarray of shape (q,)
        Squared norms of the columns.
    laplacian : bool
        Whether the rows of A add up to zero, as they do for one factor beside the first.

    Notes
    -----
    Cost: up to `DENSE` levels m, ``m**3 / 3`` operations and ``16 m**2`` bytes. Else conjugate gradients, preconditioned by
    the diagonal, at as many operations a product as there are pairs; after 50 of them, a sparse factor where its band is
    narrow. All on one core, so the same bits.
    """
    q = right.shape[1]
    if not len(free):
        return Solved(np.zeros_like(right), np.zeros((q, q)), 0, True, "redundant", 0, 0.0)
    matrix = _formed(own, meets, inverse, free, laplacian, always=len(free) <= DENSE)
    size = np.asarray(own.diagonal())
    if not laplacian:
        kept = matrix.diagonal() > _NOTHING * size[free]
        free, matrix = free[kept], matrix.part(kept) if isinstance(matrix, _Applied) else matrix[kept][:, kept]
    wanted = right[free]
    values: Float
    if len(free) <= DENSE:
        dense = matrix.toarray()
        values, rank = _dense(dense, wanted, size[free], full=laplacian)
        found, ranked, method, products = dense @ values, True, "dense Cholesky factor", 0
    else:
        values, products, method = _sparse(matrix, wanted)
        found, rank, ranked = matrix @ values, len(free), False
    rest = wanted - found
    norms = np.sqrt(np.einsum("ij,ij->j", rest, rest / matrix.diagonal()[:, None]))
    residual = float(np.max(norms / np.sqrt(np.where(gross > 0, gross, 1.0)), initial=0.0))
    # 2 B'U - U'AU: its error is the square of that of U.
    explained = values.T @ wanted + values.T @ rest
    out = np.zeros_like(right)
    out[free] = values
    return Solved(out, 0.5 * (explained + explained.T), rank, ranked, method, products, residual)


class _Applied:
    """The matrix as products with its parts, where forming it would take too long."""

    def __init__(self, own: "csr_array", meets: "csr_array", inverse: Float) -> None:
        self._own, self._meets, self._back, self._inverse = own, meets, meets.T.tocsr(), inverse
        squares = meets.copy()
        squares.data **= 2
        self._diagonal = own.diagonal() - squares.T @ inverse

    def __matmul__(self, values: Float) -> Float:
        return np.asarray(self._own @ values - self._back @ (self._inverse[:, None] * (self._meets @ values)))

    def diagonal(self) -> Float:
        return np.asarray(self._diagonal)

    def part(self, kept: NDArray[np.bool_]) -> "_Applied":
        return _Applied(self._own[kept][:, kept].tocsr(), self._meets[:, kept].tocsr(), self._inverse)


def _formed(own: "csr_array", meets: "csr_array", inverse: Float, free: Int, laplacian: bool, always: bool) -> Any:
    """Return the part of the matrix that belongs to some levels."""
    from scipy.sparse import diags_array

    partners = np.diff(meets.indptr).astype(np.float64)
    if not always and float(partners @ partners) > _FORMED * meets.nnz + 1e7:
        return _Applied(own[free][:, free].tocsr(), meets[:, free].tocsr(), inverse)
    scaled = meets.multiply(inverse[:, None]).tocsr()
    whole = (own - meets.T.tocsr() @ scaled).tocsr()
    if laplacian:
        # The diagonal is what the rest of its row adds up to: nothing cancels in that.
        whole = (whole - diags_array(whole.diagonal())).tocsr()
        whole = (whole + diags_array(-np.asarray(whole.sum(axis=1)).ravel())).tocsr()
    return whole[free][:, free].tocsr()


def _dense(matrix: Float, right: Float, size: Float, full: bool) -> tuple[Float, int]:
    """Solve by a Cholesky factor; of a singular matrix, with pivots, and zeros for the levels that others determine.

    `size` is the diagonal before the first factor was taken out, which rounding is relative to.
    """
    from scipy.linalg import cho_solve, cholesky, lapack

    m = len(matrix)
    scale = 1.0 / np.sqrt(matrix.diagonal() if full else size)
    scaled = matrix * scale[:, None] * scale
    wanted = right * scale[:, None]
    if full:
        lower, kept = cholesky(scaled, lower=True), np.arange(m)
    else:
        factor, pivots, rank, _ = lapack.dpstrf(scaled, lower=1, tol=32.0 * UNIT * max(m, 32))
        lower, kept = np.asfortranarray(np.tril(factor[:rank, :rank])), pivots[:rank] - 1
    values = np.zeros_like(wanted)
    values[kept] = cho_solve((lower, True), wanted[kept])
    values[kept] += cho_solve((lower, True), wanted[kept] - scaled[np.ix_(kept, kept)] @ values[kept])
    return values * scale[:, None], len(kept)


def _sparse(matrix: Any, right: Float) -> tuple[Float, int, str]:
    values, products, done = _gradients(matrix, right, np.zeros_like(right), _SHORT)
    if done:
        return values, products, "conjugate gradients"
    if not isinstance(matrix, _Applied) and _band(matrix) <= _FILL:
        from scipy.sparse.linalg import splu

        factor = splu(
            matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        values = np.asarray(factor.solve(right))
        values += factor.solve(right - matrix @ values)
        if np.isfinite(values).all():
            return values, products, "sparse factor"
        values = np.zeros_like(right)
    values, more, done = _gradients(matrix, right, values, _LONG)
    return values, products + more, "conjugate gradients" if done else "conjugate gradients, unfinished"


def _band(matrix: "csr_array") -> float:
    """Return how many entries a factor in the order of Cuthill & McKee has at most."""
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    row = np.repeat(np.arange(len(order)), np.diff(matrix.indptr))
    first = place.copy()
    np.minimum.at(first, place[row], place[matrix.indices])
    return float((np.arange(len(order)) - np.minimum(first, np.arange(len(order)))).sum())


def _gradients(matrix: Any, right: Float, values: Float, most: int) -> tuple[Float, int, bool]:
    """Take conjugate-gradient steps for all right-hand sides (Saad 2003, *Iterative Methods*, algorithm 9.1)."""
    diagonal = matrix.diagonal()[:, None]
    rest = right - matrix @ values if values.any() else right.copy()
    size = np.einsum("ij,ij->j", right, right / diagonal)
    z = rest / diagonal
    inner = np.einsum("ij,ij->j", rest, z)
    direction, values = z.copy(), values.copy()
    for k in range(most):
        if (inner <= _CLOSE**2 * size).all():
            return values, k, True
        product = matrix @ direction
        curve = np.einsum("ij,ij->j", direction, product)
        step = np.divide(inner, curve, out=np.zeros_like(inner), where=curve > 0)
        values += step * direction
        rest -= step * product
        z = rest / diagonal
        after = np.einsum("ij,ij->j", rest, z)
        turn = np.divide(after, inner, out=np.zeros_like(inner), where=inner > 0)
        direction *= turn
        direction += z
        inner = after
    return values, most, bool((inner <= _CLOSE**2 * size).all())
