"""Which marginal effects are asked for: slopes of numbers, contrasts of categories."""

from collections.abc import Mapping, Sequence
from typing import Any

from streamreg.design.formula.coders import Category, Interacted
from streamreg.design.formula.encoder import FormulaEncoder
from streamreg.design.formula.expressions import Call, Name
from streamreg.errors import UsageError, nearest
from streamreg.results.base import FitResult
from streamreg.results.slopes import Question
from streamreg.sources.base import Source


def questions(
    fit: FitResult,
    encoder: FormulaEncoder | None,
    source: Source,
    variables: str | Sequence[str] | None,
    contrasts: Mapping[str, Any],
) -> tuple[tuple[Question, ...], str]:
    """Return which effects are asked for, and a note about those that are not."""
    categories = {} if encoder is None else _categories(encoder)
    read = fit.terms_of if encoder is None else encoder.columns
    known = tuple(name for name in read if name not in _absorbed(fit))
    wanted = known if variables is None else (variables,) if isinstance(variables, str) else tuple(variables)
    wanted = tuple(dict.fromkeys((*wanted, *contrasts)))
    asked, skipped = list[Question](), list[str]()
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"no term of the fit is made of {name!r}{nearest(name, known)}; there is {', '.join(known)}"
            )
        kind = source.schema.dtype(source.schema.require(name, source.label)).kind
        if name in contrasts:
            asked.append(_contrast(name, contrasts[name]))
        elif name in categories:
            base, *others = categories[name]
            asked += [Question(name, f"{other} - {base}", (base, other)) for other in others]
        elif kind == "b":
            asked.append(Question(name, "True - False", (False, True)))
        elif kind in "iuf":
            asked.append(Question(name, "dY/dX"))
        elif variables is None:
            skipped.append(name)
        else:
            raise UsageError(
                f"column {name!r} is no number and no category of the formula; name a contrast of two values"
            )
    if not asked:
        raise UsageError("no term of the fit is made of a number or a category; there is no effect to average")
    note = f"Without {', '.join(skipped)}, of which only functions are terms." if skipped else ""
    return tuple(asked), note


def _absorbed(fit: FitResult) -> set[str]:
    return set() if fit.absorbed is None else {part for key in fit.absorbed.names.tolist() for part in key.split("^")}


def _contrast(name: str, pair: Any) -> Question:
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2 or pair[0] == pair[1]:
        raise UsageError(f"the contrast of {name!r} is {pair!r}; it is two different values, the reference first")
    return Question(name, f"{pair[1]} - {pair[0]}", (pair[0], pair[1]))


def _categories(encoder: FormulaEncoder) -> dict[str, list[Any]]:
    """Return the levels of each column that is a category, the reference first."""
    found: dict[str, list[Any]] = {}
    for coder in encoder.coders:
        held: list[tuple[Any, Any, int]] = []
        if isinstance(coder, Category):
            held = [(coder.inner, coder.levels, coder.base)]
        elif isinstance(coder, Interacted) and isinstance(coder.factor, Call):
            arguments = coder.factor.args
            held = [(arguments[0], coder.levels, coder.reference)]
            held += [] if coder.second is None else [(arguments[1], coder.second, coder.reference2)]
        for inner, levels, base in held:
            if isinstance(inner, Name) and inner.text not in found and not levels.dates:
                values = list(levels.values)
                found[inner.text] = [values[base], *values[:base], *values[base + 1 :]]
    return found
