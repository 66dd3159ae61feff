"""Take the effects of factors out of cross-products: what is left is a problem of the columns within the levels.

The normal equations of all effects and slopes are eliminated by blocks (Abowd, Creecy & Kramarz 2002, *Computing person
and firm effects using linked longitudinal employer-employee data*): the factor with most levels first, whose block is
diagonal; then all others side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels.blas import one_thread
from streamreg.kernels.gram import cross_product
from streamreg.solve.effects import redundant, solve

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Places = NDArray[np.int32]
Pairs = Mapping[tuple[int, int], tuple[Places, Places, Float]]
"""For factors f < g: places of levels of f and of g that meet, and the sum of weights of their common rows."""

_SMALL = 200  # levels of a factor that is left to the end
_ROWS = 4096  # levels whose products are taken at a time


@dataclass(frozen=True, slots=True)
class Factor:
    """Sums by level of a factor.

    Attributes
    ----------
    name : str
    weight : ndarray of shape (L,)
        Sums of weights: positive.
    sums : ndarray of shape (L, q)
        Of the columns about their means.
    """

    name: str
    weight: Float
    sums: Float


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What is left of cross-products, and the effects.

    Attributes
    ----------
    within : ndarray of shape (q, q)
        Cross-products of the columns less their effects.
    effects : tuple of ndarrays of shape (L, q)
        Least-squares effects of each factor on each column about its mean.
    df : int
        Degrees of freedom that the effects take up, the constant among them.
    exact : bool
        Whether there are no fewer.
    joined : int ndarray of shape (F, F)
        For two factors: how many sets of their levels no row connects. On the diagonal their levels.
    method : str
        How the effects of all factors but one were found.
    products : int
        Products with the matrix of these that took.
    residual : float
        Greatest residual of these equations, relative to the column, in the norm of their diagonal.
    """

    within: Float
    effects: tuple[Float, ...]
    df: int
    exact: bool
    joined: Int
    method: str
    products: int
    residual: float


def absorb(cross: Float, factors: Sequence[Factor], pairs: Pairs) -> Absorbed:
    """Take the effects of factors out of centred cross-products, shape (q, q).

    Notes
    -----
    Cost: ``L q**2`` operations for the levels of the first factor; for the others see `streamreg.solve.effects`. The
    error of the effects enters what is left squared.
    """
    order = sorted(range(len(factors)), key=lambda f: (-len(factors[f].weight), f))
    first, rest = factors[order[0]], [factors[f] for f in order[1:]]
    inverse = 1.0 / first.weight
    if rest:
        import scipy.linalg  # noqa: F401  # brings a BLAS of its own, whose threads are to be limited too
    joined = np.diag([len(factor.weight) for factor in factors])
    with one_thread():
        within = cross - _gram(first.sums * np.sqrt(inverse)[:, None])
        if not rest:
            effects = (first.sums * inverse[:, None],)
            return Absorbed(within, effects, len(first.weight), True, joined, "", 0, 0.0)
        starts = np.cumsum([0, *(len(factor.weight) for factor in rest)])
        met = {(a, b): _ordered(pairs, order[a], order[b]) for b in range(len(order)) for a in range(b)}
        meets = _beside([_sparse(met[0, k], first, rest[k - 1]) for k in range(1, len(order))])
        sizes = [len(factors[f].weight) for f in order]
        twice = {(a, b): redundant(pair, sizes[a], sizes[b]) for (a, b), pair in met.items()}
        for (a, b), some in twice.items():
            joined[order[a], order[b]] = joined[order[b], order[a]] = len(some)
        pinned = [starts[k - 1] + max((twice[a, k] for a in range(k)), key=len) for k in range(1, len(order))]
        own = _own_block([factor.weight for factor in rest], starts, {key: met[key] for key in met if key[0] > 0})
        right = np.vstack([factor.sums for factor in rest]) - meets.T @ (first.sums * inverse[:, None])
        free = np.ones(starts[-1], dtype=bool)
        free[np.concatenate(pinned)] = False
        few = np.array([size <= _SMALL for size in sizes[1:]])
        few &= not few.all()  # where all are small none is left to the end
        small = np.repeat(few, sizes[1:])
        found = solve(own, meets, inverse, right, free, small, np.diag(cross), one=int((~few).sum()) == 1)
        within -= found.explained
    parts: list[Float] = [np.zeros(0)] * len(order)
    parts[order[0]] = (first.sums - meets @ found.values) * inverse[:, None]
    for k, f in enumerate(order[1:]):
        parts[f] = found.values[starts[k] : starts[k + 1]]
    return Absorbed(
        0.5 * (within + within.T),
        tuple(parts),
        len(first.weight) + found.rank,
        found.ranked or len(rest) == 1,
        joined,
        found.method,
        found.products,
        found.residual,
    )


def _gram(rows: Float) -> Float:
    """Return ``rows' rows``, summed over runs of rows in double-double."""
    total = dd.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), _ROWS):
        total = dd.add_float(total, cross_product(rows[start : start + _ROWS]))
    return total[0]


def _ordered(pairs: Pairs, f: int, g: int) -> tuple[Places, Places, Float]:
    """Return the pairs of f and g, whichever of them comes first."""
    if f < g:
        return pairs[f, g]
    a, b, weight = pairs[g, f]
    return b, a, weight


def _sparse(pairs: tuple[Places, Places, Float], first: Factor, second: Factor) -> "csr_array":
    from scipy.sparse import coo_array

    a, b, weight = pairs
    shape = (len(first.weight), len(second.weight))
    found = coo_array((weight, (a, b)), shape=shape).tocsr()
    found.sort_indices()  # pairs come in any order, which must not show in sums
    return found


def _beside(parts: "list[csr_array]") -> "csr_array":
    from scipy.sparse import hstack

    return parts[0] if len(parts) == 1 else hstack(parts, format="csr")


def _own_block(weights: list[Float], starts: Int, pairs: Pairs) -> "csr_array":
    """Return the cross-products of the indicators of some factors, side by side."""
    from scipy.sparse import coo_array

    diagonal = np.arange(starts[-1])
    rows, columns, values = [diagonal], [diagonal], [np.concatenate(weights)]
    for (f, g), (a, b, weight) in pairs.items():
        a, b = a + starts[f - 1], b + starts[g - 1]
        rows += [a, b]
        columns += [b, a]
        values += [weight, weight]
    shape = (len(diagonal), len(diagonal))
    places = (np.concatenate(rows).astype(np.int32), np.concatenate(columns).astype(np.int32))
    found = coo_array((np.concatenate(values), places), shape=shape).tocsr()
    found.sort_indices()
    return found
