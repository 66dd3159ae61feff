"""What all models of rows share: a formula may say what is explained by what."""

import dataclasses
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, Self, TypeVar

from pydantic import model_validator

from streamreg.design.policy import Missing, fills, unfilled
from streamreg.errors import UsageError
from streamreg.models.base import Model, as_source, as_state, together
from streamreg.scans.run import Run

F = TypeVar("F", bound=Callable[..., Any])


class Estimator(Model):
    """Base of the models that are fitted to rows.

    Parameters
    ----------
    formula : str, optional
        ``"y ~ a + log(b) + C(c)"``, in place of `target`, `features`, `powers` and `intercept`; see the how-to page on
        formulas. Text columns are categories.
    intercept, features, target, missing
        As in `streamreg.Linear`, whose docstring has the words.
    """

    formula: str | None = None
    intercept: bool = True
    features: tuple[str, ...] | None = None
    target: str | None = None
    missing: Missing = "error"

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        given = [n for n in ("features", "powers", "intercept") if getattr(self, n, None) not in (None, {}, True)]
        if self.formula is not None and given:
            raise ValueError(f"{given[0]} and a formula both say what the terms are; leave one of them out")
        return self

    @property
    def eliminates(self) -> bool:
        """Whether categories of very many levels are absorbed, in place of having columns."""
        if "absorb" not in type(self).model_fields:
            return False
        from streamreg.models.absorbed import unsuited

        return not unsuited(self)

    def posed(self, data: Any, run: Run) -> tuple[Any, Self]:
        """Return data whose columns are the terms of the formula, and this model without it.

        Numbers stand in place of missing values where the model asks for that. Without either both stay as they are.

        Raises
        ------
        UsageError
            The formula cannot be read, or these are moments.
        NotFound
            It names a column that is not there.
        """
        policies: Missing = getattr(self, "missing", "error")
        if self.formula is None and not fills(policies):
            return data, self
        if as_state(data) is not None:
            if self.formula is None:
                return data, self
            raise UsageError(
                "the terms of a formula are made from rows, and moments hold none; scan with formula=, and fit the "
                "moments without"
            )
        from streamreg.scans.filling import filled, with_indicators, with_terms
        from streamreg.scans.formulas import encoded

        target, features = self.target, self.features
        needs = self.needs()
        apart = {*needs.keys, *needs.beside.values()}
        inner = (
            filled(as_source(data, target), policies, run, features=features, formula=self.formula, apart=apart)
            if fills(policies)
            else as_source(data)
        )
        changed: dict[str, Any] = {"missing": unfilled(policies)}
        if self.formula is None:
            changed["features"] = with_indicators(inner, features)
            return inner, self.model_copy(update={k: v for k, v in changed.items() if k in type(self).model_fields})
        source = encoded(inner, with_terms(inner, self.formula), run, apart, eliminate=self.eliminates)
        source.learned += getattr(inner, "learned", 0)
        changed |= {"formula": None, "intercept": source.encoder.intercept, "target": target or source.encoder.target}
        if absorbed := tuple("^".join(several) for several in source.encoder.absorbed):
            if "absorb" not in type(self).model_fields:
                raise UsageError(
                    f"{type(self).__name__} absorbs no factors; write those after '|' as terms, such as C(f), or fit "
                    "sr.Linear"
                )
            changed |= {"absorb": (*getattr(self, "absorb", ()), *absorbed), "intercept": True}
        return source, self.model_copy(update={k: v for k, v in changed.items() if k in type(self).model_fields})


class Weighted(Estimator):
    """Base of the models for which it matters what weights mean.

    Parameters
    ----------
    weight_kind : {"analytic", "frequency"}
        As in `streamreg.Linear`.
    """

    weight_kind: Literal["analytic", "frequency"] = "analytic"


def with_run(fit: F) -> F:
    """Let the method `fit` of a model keep its passes, and leave out rows that cannot be read, if it is told to.

    So `fit` itself has neither a checkpoint nor `on_fault`; Keras has a checkpoint of its own.
    """

    @wraps(fit)
    def fitted(self: Model, data: Any, *args: Any, **options: Any) -> Any:
        asked = {name: options.get(name) for name in ("checkpoint", "on_fault")}
        if asked["on_fault"] is None and (asked["checkpoint"] is None or self.needs().trains):
            return fit(self, data, *args, **options)
        run = Run.of(*(options.pop(name, None) for name in ("threads", "engine", "progress", "on_fault")))
        with run.saved_in(None if self.needs().trains else options.pop("checkpoint", None)) as own:
            return fit(self, data, *args, engine=own, **options)

    return fitted  # type: ignore[return-value]  # of the same signature


def with_formula(fit: F) -> F:
    """Let the method `fit` of a model see the columns that its formula makes, and work as it is told to.

    So `fit` itself has no formula, and nothing of `with_run`.
    """

    @with_run
    @wraps(fit)
    def fitted(self: Estimator, data: Any, *args: Any, **options: Any) -> Any:
        read = 0
        if self.formula is None:
            if not fills(getattr(self, "missing", "error")) or as_state(data) is not None:
                return fit(self, data, *args, **options)
            given = together(data, *args, *(options.pop(name, None) for name in ("y", "weight")[len(args) :]))
            data = as_source(given, getattr(self, "target", None))
            args = ()
            from streamreg.models.at_once import fit_at_once

            found, read = fit_at_once(self, data, options)
            if found is not None:
                return found
        if any(value is not None for value in (*args, options.pop("y", None), options.pop("weight", None))):
            raise UsageError("a formula names columns, and arrays y and weight have no names; pass one table")
        run = Run.of(*(options.pop(name, None) for name in ("threads", "engine", "progress")))
        source, model = self.posed(data, run)
        found = fit(model, source, engine=run, **options)
        held = {f.name for f in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else set()
        changed = {
            "spec" if "spec" in held else "model": self.to_dict(),  # a network's `model` is Keras's own
            "passes": getattr(found, "passes", 0) + getattr(source, "learned", 0) + read,
        }
        return dataclasses.replace(found, **{k: v for k, v in changed.items() if k in held})

    return fitted  # type: ignore[return-value]  # of the same signature
