"""Take the effects of factors out of cross-products: what is left is a problem of the columns within the levels.

The normal equations of all effects and slopes are eliminated by blocks (Abowd, Kramarz & Margolis 1999, *Econometrica* 67;
Abowd, Creecy & Kramarz 2002, *Computing person and firm effects using linked longitudinal data*): the factor with most
levels first, whose block is diagonal; then all others side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamreg.kernels import doubledouble as dd
from streamreg.kernels.blas import one_thread
from streamreg.kernels.gram import cross_product
from streamreg.solve.effects import Solved, components, redundant, solve

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Pairs = Mapping[tuple[int, int], tuple[Int, Int, Float]]
"""For factors f < g: places of levels of f and of g that meet, and the sum of weights of their common rows."""

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
    components : int
        Sets of levels, of the two factors with most of them, that no row connects.
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
    components: int
    method: str
    products: int
    residual: float


def absorb(cross: Float, factors: Sequence[Factor], pairs: Pairs) -> Absorbed:
    """Take the effects of factors out of centred cross-products, shape (q, q).

    Notes
    -----
    Cost: ``L q**2`` operations for the levels of the first factor; for the others see `streamreg.solve.effects`. The error
    of the effects enters what is left squared.
    """
    order = sorted(range(len(factors)), key=lambda f: (-len(factors[f].weight), f))
    first, rest = factors[order[0]], [factors[f] for f in order[1:]]
    inverse = 1.0 / first.weight
    with one_thread():
        within = cross - _gram(first.sums * np.sqrt(inverse)[:, None])
        if not rest:
            return Absorbed(within, (first.sums * inverse[:, None],), len(first.weight), True, len(first.weight), "", 0, 0.0)
        starts = np.cumsum([0, *(len(factor.weight) for factor in rest)])
        met = {(a, b): _ordered(pairs, order[a], order[b]) for b in range(len(order)) for a in range(b)}
        meets = _beside([_sparse(met[0, k], first, rest[k - 1]) for k in range(1, len(order))])
        pinned, graph = [], 0
        for k in range(1, len(order)):
            sizes = len(rest[k - 1].weight)
            found = [redundant(met[a, k], len(factors[order[a]].weight), sizes) for a in range(k)]
            pinned.append(starts[k - 1] + max(found, key=len))
            graph = graph or components(met[0, 1], len(first.weight), sizes)
        own = _own_block([factor.weight for factor in rest], starts, {key: met[key] for key in met if key[0] > 0})
        right = np.vstack([factor.sums for factor in rest]) - meets.T @ (first.sums * inverse[:, None])
        free = np.setdiff1d(np.arange(starts[-1]), np.concatenate(pinned))
        found = solve(own, meets, inverse, right, free, np.diag(cross), laplacian=len(rest) == 1)
        within -= found.explained
    effects: list[Float] = [np.zeros(0)] * len(order)
    effects[order[0]] = (first.sums - meets @ found.values) * inverse[:, None]
    for k, f in enumerate(order[1:]):
        effects[f] = found.values[starts[k] : starts[k + 1]]
    exact = found.ranked or len(rest) == 1
    return _absorbed(within, effects, len(first.weight) + found.rank, exact, graph, found)


def _absorbed(within: Float, effects: list[Float], df: int, exact: bool, graph: int, found: Solved) -> Absorbed:
    symmetric = 0.5 * (within + within.T)
    return Absorbed(symmetric, tuple(effects), df, exact, graph, found.method, found.products, found.residual)


def joint_df(sizes: Sequence[int], pairs: Pairs) -> int:
    """Return the degrees of freedom of the effects of one or two factors: exact, by the graph of their levels."""
    if len(sizes) == 1:
        return sizes[0]
    return sum(sizes) - components(pairs[0, 1], *sizes)


def _gram(rows: Float) -> Float:
    """Return ``rows' rows``, summed over runs of rows in double-double."""
    total = dd.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), _ROWS):
        total = dd.add_float(total, cross_product(rows[start : start + _ROWS]))
    return total[0]


def _ordered(pairs: Pairs, f: int, g: int) -> tuple[Int, Int, Float]:
    """Return the pairs of f and g, whichever of them comes first."""
    if f < g:
        return pairs[f, g]
    a, b, weight = pairs[g, f]
    return b, a, weight


def _sparse(pairs: tuple[Int, Int, Float], first: Factor, second: Factor) -> "csr_array":
    from scipy.sparse import coo_array

    a, b, weight = pairs
    shape = (len(first.weight), len(second.weight))
    return coo_array((weight, (a.astype(np.int32), b.astype(np.int32))), shape=shape).tocsr()


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
    return coo_array((np.concatenate(values), places), shape=shape).tocsr()
