"""Distributions of the target: one module for each, which is imported when it is asked for."""

import re
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from streamreg.errors import UsageError, nearest

if TYPE_CHECKING:
    from streamreg.families.base import Family

FAMILIES = {
    "gaussian": "streamreg.families.gaussian:Gaussian",
    "binomial": "streamreg.families.binomial:Binomial",
    "poisson": "streamreg.families.poisson:Poisson",
    "gamma": "streamreg.families.gamma:Gamma",
    "inverse_gaussian": "streamreg.families.inverse_gaussian:InverseGaussian",
    "tweedie": "streamreg.families.tweedie:Tweedie",
    "negative_binomial": "streamreg.families.negative_binomial:NegativeBinomial",
    "quasi_binomial": "streamreg.families.binomial:QuasiBinomial",
    "quasi_poisson": "streamreg.families.poisson:QuasiPoisson",
}
"""Where the class of each family is, by name."""

LEAST_SQUARES = "gaussian"
"""The family of a line, and of what says nothing else."""

LABELS = "binomial"
"""The family of models that give the probability of a label."""

_SPELT = re.compile(r"(?P<name>\w+)(?:\((?P<parameter>[-+.\w]+)\))?(?:/(?P<link>[\w().+-]+))?")


def family(spelling: str) -> "Family":
    """Return the family of that name, with its own link, or spelt with another: "gamma", "tweedie(1.7)/identity".

    Raises
    ------
    UsageError
        There is none, or it has no such parameter or link.
    """
    found = _SPELT.fullmatch(spelling)
    if found is None or found["name"] not in FAMILIES:
        raise UsageError(f"no family {spelling!r}{nearest(spelling, FAMILIES)}")
    return _loaded(FAMILIES[found["name"]], found["parameter"] or "", found["link"] or "")


def spelt(name: str, parameter: float | None = None, link: str | None = None) -> str:
    """Return how `family` spells a family with a parameter and a link; None: as the name has it."""
    found = _SPELT.fullmatch(name)
    base, own, tail = (
        (name, "", "") if found is None else (found["name"], found["parameter"] or "", found["link"] or "")
    )
    inner = own if parameter is None else repr(float(parameter))
    bare = _loaded(FAMILIES[base], inner, "") if base in FAMILIES else None
    after = tail if link is None else link
    after = "" if bare is not None and after == bare.link else after
    return base + (f"({inner})" if inner else "") + (f"/{after}" if after else "")


@lru_cache(maxsize=256)
def of_loss(name: str) -> str:
    """Return the family whose likelihood is greatest where a loss of this name is least; empty if there is none."""
    return next((one for one in FAMILIES if name in _class(FAMILIES[one]).losses), "")


def _class(place: str) -> "type[Family]":
    module, _, kind = place.partition(":")
    found: type[Family] = getattr(import_module(module), kind)
    return found


@lru_cache(maxsize=256)
def _loaded(place: str, parameter: str, link: str) -> "Family":
    try:
        return _class(place).of(parameter, link)
    except UsageError:
        raise
    except ValueError:
        raise UsageError(f"{parameter!r} is no parameter of a family; it is a number") from None
