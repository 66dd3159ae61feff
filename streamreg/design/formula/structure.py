"""Which columns of each term are left out, so that no term repeats what terms before it say already.

The rule is patsy's and formulaic's: a category that sums to the intercept has all its columns or one less ("reduced"),
and a product of categories is the sum of reduced products of all their subsets. What subsets are there already is left
out, and what remains is put together again: (rest):(reduced) + (rest) is (rest):(all).
"""

from collections.abc import Sequence
from itertools import product

Part = tuple[tuple[int, bool], ...]
"""Factors by number, and whether each is reduced."""


def parts(terms: Sequence[tuple[int, ...]], spans: Sequence[bool], intercept: bool) -> list[list[Part]]:
    """Return the parts of each term.

    Parameters
    ----------
    terms : sequence of tuple of int
        The factors of each term, by number.
    spans : sequence of bool
        Of each factor, whether its columns sum to the intercept.
    intercept : bool
        Whether there is an intercept, before all terms.
    """
    said: set[frozenset[tuple[int, bool]]] = {frozenset()} if intercept else set()
    out = []
    for term in terms:
        choices = [[(k, True), None] if spans[k] else [(k, False)] for k in dict.fromkeys(term)]
        subsets = [tuple(c for c in choice if c is not None) for choice in product(*choices)]
        new = [subset for subset in subsets if frozenset(subset) not in said]
        said.update(map(frozenset, subsets))
        out.append(_joined(new))
    return out


def _joined(found: Sequence[Part]) -> list[Part]:
    done: list[Part] = []
    for part in sorted(found, key=len):
        for other in done:
            added = set(part) - set(other)
            if len(part) == len(other) + 1 and len(added) == 1:
                (factor, reduced) = added.pop()
                if reduced:
                    whole = tuple((k, False) if k == factor else (k, r) for k, r in part)
                    done = _joined([p for p in done if p != other] + [whole])
                    break
        else:
            if not any(set(part) == set(other) for other in done):
                done.append(part)
    return done
