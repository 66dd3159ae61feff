"""Regressions of classes: multinomial logit, and ordered logit and probit."""

import dataclasses
import os
import time
from typing import Any, Literal, Self

from pydantic import Field

from streamreg.design.formula.expressions import Call, Name, names
from streamreg.design.formula.grammar import parse
from streamreg.errors import OnePassError, UsageError, nearest, typed
from streamreg.families.classes import ClassLikelihood
from streamreg.families.classes import Multinomial as MultinomialLikelihood
from streamreg.families.classes import Ordered as OrderedLikelihood
from streamreg.models.base import as_source, as_state, together
from streamreg.models.class_climb import Classes, climb
from streamreg.models.class_estimates import estimates
from streamreg.models.estimator import Weighted, with_formula
from streamreg.models.needs import Needs
from streamreg.results.classes import CONSTANT, ClassFit
from streamreg.scans.faults import OnFault
from streamreg.scans.run import Run


class ClassModel(Weighted):
    """Base of the regressions of classes.

    Parameters
    ----------
    classes : tuple of int or str, optional
        The classes in their order. Default: those of the rows, sorted.
    max_iterations : int
        Passes over the rows, at most; below 4 no sample is taken.
    tolerance : float
        Distance to the maximum, in standard errors, at which to stop. One more step is then taken, which squares it.
        From some 262,144 rows on a fit begins with that to a sample of them, which is not counted as a pass.
    singular : {"drop", "error"}
        What to do about columns that depend on others: leave them out, without a coefficient, or an error that names
        them.
    powers : dict of str to int
        Columns to raise to powers, and the degree.
    """

    classes: tuple[int | str, ...] | None = Field(default=None, min_length=2)
    max_iterations: int = Field(default=50, ge=1)
    tolerance: float = Field(default=1e-8, gt=0.0, allow_inf_nan=False)
    singular: Literal["drop", "error"] = "drop"
    powers: dict[str, int] = Field(default_factory=dict)

    @property
    def gives(self) -> Literal["coefficients", "network", "groups", "classes"]:
        """Coefficients for each class."""
        return "classes"

    @property
    def words(self) -> str:
        """What it is, for bars."""
        return type(self).__name__.lower()

    @property
    def centred(self) -> bool:
        """Whether columns are taken about their means."""
        return self.intercept

    @property
    def constant(self) -> bool:
        """Whether the predictors have constants beside the columns."""
        return self.intercept

    @property
    def needs_order(self) -> bool:
        """Whether the order of the classes matters."""
        return False

    def likelihood(self, classes: Classes) -> ClassLikelihood:
        """Return the likelihood of these classes."""
        raise NotImplementedError

    def parameters(self, classes: Classes, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the parameters that are sought, for messages."""
        raise NotImplementedError

    def needs(self) -> Needs:
        """Return what a fit takes: a pass for the classes, and one for each step."""
        return Needs(
            features=self.features,
            target=self.target,
            powers=self.powers,
            missing=self.missing,
            passes=max(self.max_iterations, 2) + 2,  # one for the classes, and one where a sample lacks some
            at_most=True,
            formula=self.formula,
            classes=True,
        )

    def posed(self, data: Any, run: Run) -> tuple[Any, Self]:
        """Return data whose columns are the terms of the formula; a target that is a column of it stays as it is."""
        if self.formula is None:
            return super().posed(data, run)
        left = parse(self.formula).target
        if isinstance(left, Call) and left.function == "C" and len(left.args) == 1:
            left = left.args[0]
        if not isinstance(left, Name):
            return super().posed(data, run)
        # Classes are no number that a term could be: the formula is of the columns alone.
        terms = self.formula.partition("~")[2]
        own = self.model_copy(update={"formula": terms, "target": self.target or next(names(left))})
        found, model = super(ClassModel, own).posed(as_source(data, own.target), run)
        return found, model

    @typed
    @with_formula
    def fit(
        self,
        data: Any,
        y: Any = None,
        weight: Any = None,
        *,
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        on_fault: OnFault | None = None,
    ) -> ClassFit:
        """Estimate the coefficients by maximum likelihood.

        Parameters
        ----------
        data : Source, or anything that `streamreg.open` takes
            It is read several times. The target holds whole numbers or text.
        y, weight : array_like, shape (n,), optional
            Target and weights, where `data` is a matrix: ``fit(X, y)`` is ``fit((X, y))``.
        threads : int, optional
            Workers; the result has the same bits for any number.
        progress : bool, optional
            Show a progress bar for each pass; default: on a terminal.
        engine, checkpoint, on_fault : optional
            Who works on the rows, and what is done about breaks and faults, as in `streamreg.scan`.

        Returns
        -------
        ClassFit
            Errors come from the inverse of the observed information; tests are from the normal distribution.

        Raises
        ------
        DataError
            One class only, a class without rows, or a target that holds neither whole numbers nor text.
        OnePassError
            The rows can be read only once.
        UsageError
            No target, or no class as `base` or `classes` name it.
        """
        data = together(data, y, weight)
        began, run = time.perf_counter(), Run.of(threads, engine, progress)
        if as_state(data) is not None:
            raise UsageError(f"a {self.words} fit needs the rows, and moments hold none; pass the source")
        source = as_source(data, self.target)
        if source.one_pass:
            raise OnePassError(f"{source.label}: a {self.words} fit reads the rows several times; use a file or array")
        needs = dataclasses.replace(self.needs(), target=source.roles.target)
        design = dataclasses.replace(needs.design(source), missing=self.missing)
        model = self.model_copy(update={"target": design.keys[0]})
        fit = estimates(model, source, design, climb(model, source, design, run))
        return dataclasses.replace(fit, model=self.to_dict(), seconds=time.perf_counter() - began)


class Multinomial(ClassModel):
    """Multinomial logit: the logarithms of the odds of each class against a base class are linear.

    Parameters
    ----------
    base : int or str, optional
        The class that others are compared with. Default: the first.
    classes : tuple of int or str, optional
        The classes in their order. Default: those of the rows, sorted.
    max_iterations : int
        Passes over the rows, at most; below 4 no sample is taken.
    tolerance : float
        Distance to the maximum, in standard errors, at which to stop. One more step is then taken, which squares it.
        From some 262,144 rows on a fit begins with that to a sample of them, which is not counted as a pass.
    singular : {"drop", "error"}
        What to do about columns that depend on others: leave them out, without a coefficient, or an error that names
        them.
    powers : dict of str to int
        Columns to raise to powers, and the degree.
    formula, intercept, features, target, missing, weight_kind
        As for `Glm`. The target holds K classes: whole numbers or text.

    Notes
    -----
    Each pass takes ``K (K - 1) / 2 p**2`` multiplications a row; one pass for each Newton step.
    """

    base: int | str | None = None

    def likelihood(self, classes: Classes) -> ClassLikelihood:
        """Return the softmax likelihood."""
        width = self.intercept + len(classes.kept)
        return MultinomialLikelihood(len(classes.keys), width, self.base_of(classes.names), self.intercept)

    def base_of(self, names: tuple[str, ...]) -> int:
        """Return the place of the base among the classes."""
        if self.base is None:
            return 0
        if str(self.base) not in names:
            raise UsageError(f"base: no class {str(self.base)!r}{nearest(str(self.base), names)}")
        return names.index(str(self.base))

    def parameters(self, classes: Classes, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return a name for each class but the base and each column."""
        own = (*((CONSTANT,) if self.intercept else ()), *(names[j] for j in classes.kept))
        base = self.base_of(classes.names)
        return tuple(f"{one}:{name}" for k, one in enumerate(classes.names) if k != base for name in own)


class Ordered(ClassModel):
    """Ordered logit or probit: classes are the intervals between thresholds in which a linear predictor falls.

    ``P(class <= k) = F(threshold_k - x'coef)``: a positive coefficient makes high classes likelier, as in statsmodels
    and in R's polr. The thresholds take the place of an intercept.

    Parameters
    ----------
    link : {"logit", "probit"}
        F is the logistic or the normal distribution.
    classes : tuple of int or str, optional
        The classes from the lowest to the highest. Whole numbers have their own order; that of texts must be said.
    max_iterations : int
        Passes over the rows, at most; below 4 no sample is taken.
    tolerance : float
        Distance to the maximum, in standard errors, at which to stop. One more step is then taken, which squares it.
        From some 262,144 rows on a fit begins with that to a sample of them, which is not counted as a pass.
    singular : {"drop", "error"}
        What to do about columns that depend on others: leave them out, without a coefficient, or an error that names
        them.
    powers : dict of str to int
        Columns to raise to powers, and the degree.
    formula, intercept, features, target, missing, weight_kind
        As for `Glm`. The intercept stays true.
    """

    link: Literal["logit", "probit"] = "logit"

    @property
    def constant(self) -> bool:
        """Return false: thresholds are constants of their own."""
        return False

    @property
    def centred(self) -> bool:
        """Return true, as thresholds move with the columns."""
        return True

    @property
    def needs_order(self) -> bool:
        """Return true."""
        return True

    def likelihood(self, classes: Classes) -> ClassLikelihood:
        """Return the likelihood of intervals."""
        if not self.intercept:
            raise UsageError(
                "an ordered fit has thresholds in place of an intercept, which cannot be left out; leave intercept "
                "alone, and '- 1' or '+ 0' out of a formula"
            )
        return OrderedLikelihood(len(classes.keys), len(classes.kept), self.link)

    def parameters(self, classes: Classes, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return a name for each threshold, and for each column."""
        cuts = (f"{a}|{b}" for a, b in zip(classes.names, classes.names[1:], strict=False))
        return (*cuts, *(names[j] for j in classes.kept))
