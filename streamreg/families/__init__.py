"""Distributions of the target: one module for each, which is imported when it is asked for."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from streamreg.errors import UsageError, nearest

if TYPE_CHECKING:
    from streamreg.families.base import Family

FAMILIES = {
    "gaussian": "streamreg.families.gaussian:Gaussian",
    "binomial": "streamreg.families.binomial:Binomial",
    "poisson": "streamreg.families.poisson:Poisson",
}
"""Where the class of each family is, by name."""


def family(name: str) -> "Family":
    """Return the family of that name.

    Raises
    ------
    UsageError
        There is none.
    """
    if name not in FAMILIES:
        raise UsageError(f"no family {name!r}{nearest(name, FAMILIES)}")
    return _loaded(FAMILIES[name])


@cache
def _loaded(place: str) -> "Family":
    module, _, kind = place.partition(":")
    found: Family = getattr(import_module(module), kind)()
    return found
