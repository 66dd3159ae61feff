"""Inverse of a Cholesky factor, and of the matrix that it factors, as products of blocks that the cores share."""

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels.blas import shared

Float = NDArray[np.float64]

_BLOCK = 128
_STRIP = 256


def inverse(lower: Float) -> Float:
    """Return the inverse of a lower triangular matrix, from those of halves of it (Higham 2002, section 14.2.2).

    Notes
    -----
    Cost: ``p**3 / 2`` operations, of which a general solver takes ``8 p**3 / 3``.
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
        middle, end, last = start + size, start + 2 * size, min(first + _STRIP, start + size)
        product = lower[middle:end, first:middle] @ out[first:middle, first:last]
        out[middle:end, first:last] = out[middle:end, middle:end] @ -product

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
        out[:start, start:end] = out[start:end, :start].T
        square = out[start:end, start:end]
        square[...] = np.tril(square) + np.tril(square, -1).T

    shared(strip, range(0, p, _BLOCK))
    return out


def greatest(matrix: Float, steps: int = 8) -> float:
    """Return the greatest eigenvalue of a symmetric positive matrix as Lanczos steps find it: at most the true one.

    (Golub & Van Loan 2013, *Matrix Computations*, section 10.1.)

    Notes
    -----
    Cost: ``2 p**2`` operations a step.
    """
    basis = np.zeros((steps, len(matrix)))
    vector = np.random.default_rng(0).standard_normal(len(matrix))
    for k in range(steps):
        vector -= basis[:k].T @ (basis[:k] @ vector)
        vector -= basis[:k].T @ (basis[:k] @ vector)
        basis[k] = vector / np.linalg.norm(vector)
        vector = matrix @ basis[k]
    return float(np.linalg.eigvalsh(basis @ matrix @ basis.T)[-1])
