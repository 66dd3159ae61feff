"""How many passes a formula takes to learn, and what each of them finds out."""

from collections.abc import Callable, Mapping

from streamreg.design.formula import learning
from streamreg.design.formula.expressions import Call, Expression, walk
from streamreg.design.formula.functions import SCALING
from streamreg.design.formula.profile import Inquiry, Need, Profile
from streamreg.design.formula.value import Formula
from streamreg.sources.base import Schema

Profiled = Callable[[Inquiry], learning.Found]


def learned(formula: Formula, schema: Schema, profiled: Profiled) -> tuple[dict[str, learning.Scaling], learning.Found]:
    """Return what scalings and factors have to know, by as few passes as nesting allows."""
    scalings: dict[str, learning.Scaling] = {}
    found: learning.Found = {}
    calls = {
        part.text: part
        for factor in formula.factors.values()
        for part in walk(factor)
        if isinstance(part, Call) and part.function in SCALING
    }
    while True:
        wanted: learning.Wanted = {}

        for text, call in calls.items():
            if text not in scalings and _known(call.args[0], scalings):
                _want(wanted, call.args[0], learning.scaling_need(call))
        for factor in formula.factors.values():
            for key, (expression, need) in learning.needs(factor, schema).items():
                if _known(expression, scalings) and not _serves(found.get(key), need):
                    _want(wanted, expression, need)
        if not wanted:
            return scalings, found
        found.update(profiled(Inquiry(wanted, formula.columns, dict(scalings), schema.zones)))
        for text, call in calls.items():
            if text not in scalings and _known(call.args[0], scalings):
                scalings[text] = learning.scaling(call, found[call.args[0].text, False])


def _want(wanted: learning.Wanted, expression: Expression, need: Need) -> None:
    key = (expression.text, need.levels)
    wanted[key] = (expression, need.joined(wanted[key][1]) if key in wanted else need)


def _known(expression: Expression, scalings: Mapping[str, learning.Scaling]) -> bool:
    inner = (part for part in walk(expression) if isinstance(part, Call) and part.function in SCALING)
    return all(part.text in scalings for part in inner)


def _serves(profile: Profile | None, need: Need) -> bool:
    return profile is not None and profile.need.joined(need) == profile.need
