"""Cholesky factor, its inverse and that of the matrix, as products of blocks that the cores share."""

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels.blas import shared
from streamreg.kernels.gram import mirrored

Float = NDArray[np.float64]

_BLOCK = 128
_STRIP = 256
_WIDE = 500


def cholesky(matrix: Float) -> Float:
    """Return the lower Cholesky factor of a symmetric matrix.

    Raises
    ------
    numpy.linalg.LinAlgError
        It is not positive definite.

    Notes
    -----
    Cost: ``p**3 / 3`` operations.
    """
    p = len(matrix)
    if p <= _WIDE:
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    out = np.zeros((p, p))
    for start in range(0, p, _BLOCK):
        end = start + _BLOCK
        own = matrix[start:end, start:end] - out[start:end, :start] @ out[start:end, :start].T
        corner: Float = np.asarray(np.linalg.cholesky(own), dtype=np.float64)
        out[start:end, start:end] = corner
        back = np.linalg.solve(corner, np.eye(len(corner))).T

        def below(first: int, start: int = start, end: int = end, corner: Float = corner, back: Float = back) -> None:
            rows = slice(first, first + 2 * _STRIP)
            rest = matrix[rows, start:end] - out[rows, :start] @ out[start:end, :start].T
            part = rest @ back
            # An inverse loses digits that a triangular solution keeps; this brings them back.
            part += (rest - part @ corner.T) @ back
            out[rows, start:end] = part

        shared(below, range(end, p, 2 * _STRIP))
    return out


def inverse(lower: Float) -> Float:
    """Return the inverse of a lower triangular matrix, from those of halves of it (Higham 2002, section 14.2.2).

    Notes
    -----
    Cost: ``0.4 p**3`` operations, of which a general solver takes ``8 p**3 / 3``.
    """
    p = len(lower)
    if p <= _BLOCK:
        # NumPy has no triangular solver; SciPy has, and takes a quarter of a second to import.
        return np.asarray(np.linalg.solve(lower, np.eye(p)), dtype=np.float64)
    out = np.zeros((p, p))

    def diagonal(start: int) -> None:
        part = slice(start, start + _BLOCK)
        block = lower[part, part]
        out[part, part] = np.tril(np.linalg.solve(block, np.eye(len(block))))

    def below(corner: tuple[int, int, int]) -> None:
        start, first, size = corner
        middle, end, last = start + size, min(start + 2 * size, p), min(first + _STRIP, start + size)
        product = lower[middle:end, first:middle] @ out[first:middle, first:last]
        for row in range(middle, end, _STRIP):
            rows = slice(row, min(row + _STRIP, end))
            out[rows, first:last] = out[rows, middle : rows.stop] @ -product[: rows.stop - middle]

    shared(diagonal, range(0, p, _BLOCK))
    size = _BLOCK
    while size < p:
        starts = range(0, p - size, 2 * size)
        shared(below, [(a, c, size) for a in starts for c in range(a, a + size, _STRIP)])
        size *= 2
    return out


def gram(root: Float) -> Float:
    """Return ``root.T @ root`` of a lower triangular matrix.

    Notes
    -----
    Cost: ``p**3 / 3`` operations.
    """
    p = len(root)
    if p <= _BLOCK:
        return np.asarray(root.T @ root)
    out = np.empty((p, p))

    def strip(start: int) -> None:
        end = start + _BLOCK
        out[start:end, :end] = root[start:, start:end].T @ root[start:, :end]

    shared(strip, range(0, p, _BLOCK))
    return mirrored(out)


def greatest(matrix: Float, steps: int = 8) -> float:
    """Return the greatest eigenvalue of a symmetric positive matrix as Lanczos steps find it: at most the true one.

    (Golub & Van Loan 2013, *Matrix Computations*, section 10.1.)

    Notes
    -----
    Cost: ``2 p**2`` operations a step.
    """
    basis = np.zeros((steps, len(matrix)))
    vector = np.random.default_rng(0).standard_normal(len(matrix))
    size = 0.0
    for k in range(steps):
        vector -= basis[:k].T @ (basis[:k] @ vector)
        vector -= basis[:k].T @ (basis[:k] @ vector)
        length = float(np.linalg.norm(vector))
        if k and length <= 1e-8 * size:  # the steps before found a whole space: so it is for equal eigenvalues
            basis = basis[:k]
            break
        basis[k] = vector / length
        vector = matrix @ basis[k]
        size = float(np.linalg.norm(vector))
    return float(np.linalg.eigvalsh(basis @ matrix @ basis.T)[-1])


def condition(matrix: Float, inverse: Float) -> float:
    """Return the product of the greatest eigenvalues of both, as `greatest` finds them."""
    found = [0.0, 0.0]

    def side(k: int) -> None:
        found[k] = greatest((matrix, inverse)[k])

    shared(side, range(2))
    return found[0] * found[1]
