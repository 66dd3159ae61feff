"""Large sparse systems of effects: conjugate gradients, or a sparse factor where there is little to store."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_SHORT, _LONG = 50, 5000  # products with the matrix before it is factored, and at most
_CLOSE = 1e-11  # residual at which products end
_FILL = 1e8  # entries of the band of a matrix whose sparse factor, of some percent as many, may be taken
_HUB = 32.0  # times the root of the levels: those that meet so many others are left out of the band
_FORMED = 50.0  # times the pairs that forming the matrix may cost


class Applied:
    """The matrix as products with its parts, where forming it would take too long."""

    def __init__(self, own: "csr_array", meets: "csr_array", inverse: Float) -> None:
        self._own, self._meets, self._back, self._inverse = own, meets, meets.T.tocsr(), inverse
        squares = meets.copy()
        squares.data **= 2
        self._diagonal = own.diagonal() - squares.T @ inverse

    def __matmul__(self, values: Float) -> Float:
        return np.asarray(self._own @ values - self._back @ (self._inverse[:, None] * (self._meets @ values)))

    def diagonal(self) -> Float:
        """Return the diagonal, shape (m,)."""
        return np.asarray(self._diagonal)

    def part(self, kept: NDArray[np.bool_]) -> "Applied":
        """Return the rows and columns of some levels."""
        return Applied(self._own[kept][:, kept].tocsr(), self._meets[:, kept].tocsr(), self._inverse)


def formed(own: "csr_array", meets: "csr_array", inverse: Float, free: Int, laplacian: bool, always: bool) -> Any:
    """Return the part of the matrix that belongs to some levels."""
    from scipy.sparse import diags_array

    partners = np.diff(meets.indptr).astype(np.float64)
    if not always and float(partners @ partners) > _FORMED * meets.nnz + 1e7:
        return Applied(own[free][:, free].tocsr(), meets[:, free].tocsr(), inverse)
    scaled = meets.multiply(inverse[:, None]).tocsr()
    whole = (own - meets.T.tocsr() @ scaled).tocsr()
    if laplacian:
        # The diagonal is what the rest of its row adds up to: nothing cancels in that.
        whole = (whole - diags_array(whole.diagonal())).tocsr()
        whole = (whole + diags_array(-np.asarray(whole.sum(axis=1)).ravel())).tocsr()
    return whole[free][:, free].tocsr()


def sparse_solution(matrix: Any, right: Float) -> tuple[Float, int, str]:
    """Return a solution, the products that it took, and the method in words."""
    values, products, done = _gradients(matrix, right, np.zeros_like(right), _SHORT)
    if done:
        return values, products, "conjugate gradients"
    if not isinstance(matrix, Applied) and _band(matrix) <= _FILL:
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
    """Return how many entries the band of a matrix has in the order of Cuthill & McKee."""
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    met = np.diff(matrix.indptr)
    most = met <= _HUB * np.sqrt(len(met))
    matrix = matrix[most][:, most].tocsr()
    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    first = np.minimum.reduceat(place[matrix.indices], matrix.indptr[:-1])
    return float(np.maximum(place - first, 0).sum())


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
