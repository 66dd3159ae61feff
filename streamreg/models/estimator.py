"""What all models of rows share: a formula may say what is explained by what."""

import dataclasses
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, Self, TypeVar

from pydantic import model_validator

from streamreg.design.design import Missing
from streamreg.errors import UsageError
from streamreg.models.base import Spec, as_source, as_state
from streamreg.scans.run import Run

F = TypeVar("F", bound=Callable[..., Any])


class Estimator(Spec):
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

    def posed(self, data: Any, run: Run) -> tuple[Any, Self]:
        """Return data whose columns are the terms of the formula, and this model without it.

        Without a formula both stay as they are.

        Raises
        ------
        UsageError
            The formula cannot be read, or these are moments.
        NotFound
            It names a column that is not there.
        """
        if self.formula is None:
            return data, self
        if as_state(data) is not None:
            raise UsageError(
                "the terms of a formula are made from rows, and moments hold none; scan with formula=, and fit the "
                "moments without"
            )
        from streamreg.scans.formulas import encoded

        needs = self.needs()
        source = encoded(as_source(data), self.formula, run, {*needs.keys, *needs.beside.values()})
        target = self.target or source.encoder.target
        changed: dict[str, Any] = {"formula": None, "intercept": source.encoder.intercept, "target": target}
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


def with_formula(fit: F) -> F:
    """Let the method `fit` of a model see the columns that its formula makes, and keep its passes if it is told to.

    So `fit` itself has neither a formula nor a checkpoint; Keras has a checkpoint of its own.
    """

    @wraps(fit)
    def fitted(self: Estimator, data: Any, *args: Any, **options: Any) -> Any:
        if options.get("checkpoint") is not None and not self.needs().trains:
            run = Run.of(*(options.pop(name, None) for name in ("threads", "engine", "progress")))
            with run.kept_in(options.pop("checkpoint")) as kept:
                return fitted(self, data, *args, engine=kept, **options)
        if self.formula is None:
            return fit(self, data, *args, **options)
        if any(value is not None for value in (*args, options.pop("y", None), options.pop("weight", None))):
            raise UsageError("a formula names columns, and arrays y and weight have no names; pass one table")
        run = Run.of(*(options.pop(name, None) for name in ("threads", "engine", "progress")))
        source, model = self.posed(data, run)
        found = fit(model, source, engine=run, **options)
        changed = {"model": self.to_dict(), "passes": getattr(found, "passes", 0) + source.learned}
        held = {f.name for f in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else set()
        return dataclasses.replace(found, **{k: v for k, v in changed.items() if k in held})

    return fitted  # type: ignore[return-value]  # of the same signature
