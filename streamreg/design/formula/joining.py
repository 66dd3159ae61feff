"""The terms of several fits beside each other."""

from collections.abc import Sequence
from dataclasses import replace

from streamreg.design.formula.coders import Coder
from streamreg.design.formula.encoder import FormulaEncoder, Product
from streamreg.design.formula.learning import Scaling
from streamreg.errors import UsageError


def joined(several: Sequence[FormulaEncoder]) -> FormulaEncoder:
    """Return the terms of several encoders, each once.

    Raises
    ------
    UsageError
        Two of them learned different things of a term.
    """
    coders: dict[Coder, int] = {}
    products: dict[Product, None] = {}
    scalings: dict[str, Scaling] = {}
    text = " and ".join(dict.fromkeys(one.text for one in several))
    for one in several:
        place = [coders.setdefault(coder, len(coders)) for coder in one.coders]
        for product in one.products:
            products[replace(product, factors=tuple((place[k], r) for k, r in product.factors))] = None
        for name, scaling in one.scalings.items():
            if scalings.setdefault(name, scaling) != scaling:
                raise _different(text, name)
    formula = replace(several[0].formula, text=text)
    stored = tuple(dict.fromkeys(name for one in several for name in one.stored))
    made = FormulaEncoder(formula, tuple(coders), tuple(products), several[0].explained, stored, scalings)
    if twice := [name for name in made.features if made.features.count(name) > 1]:
        raise _different(text, twice[0])
    return made


def _different(text: str, term: str) -> UsageError:
    return UsageError(
        f"formulas {text}: the fits learned other levels, means or knots of {term}; fit them to the same rows, or "
        "score them apart"
    )
