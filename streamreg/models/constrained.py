"""Least squares under linear equality constraints, from one scan."""

import dataclasses
import os
import time
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError, typed
from streamreg.inference.covariance import Geometry
from streamreg.kernels.blas import one_thread
from streamreg.models.base import as_moments, as_source, together
from streamreg.models.estimates import Origin, result
from streamreg.models.estimator import Weighted, with_formula
from streamreg.models.needs import Needs
from streamreg.problem import Problem
from streamreg.results.base import FitResult
from streamreg.scans.faults import OnFault
from streamreg.scans.scan import scan
from streamreg.solve import cholesky, constrained, restrictions
from streamreg.solve.digits import FULL
from streamreg.solve.scaled import Scaled
from streamreg.stats.moments import Moments
from streamreg.stats.refilled import refilled_of

Float = NDArray[np.float64]


class Constrained(Weighted):
    """Least squares whose slopes obey linear equations.

    Parameters
    ----------
    restrictions : str
        For example ``"x1 + x2 = 1, x3 = 2 x4"``; see `sr.wald_test`, which tests whether the data object to them.
    intercept, features, target, missing, weight_kind
        As in `sr.Linear`.

    Notes
    -----
    Standard errors take the restrictions as true: ``cov = s**2 Z (Z'X'X Z)^-1 Z'`` with Z a basis of what they leave
    free, and ``s**2 = rss / (n - p + q)``. A slope that they fix has standard error zero.
    """

    restrictions: str

    ridge: ClassVar[float] = 0.0
    singular: ClassVar[str] = "minimum-norm"

    def needs(self) -> Needs:
        """Return what a fit takes: one pass for the moments."""
        return Needs(
            features=self.features,
            target=self.target,
            missing=self.missing,
            moments=self.formula is None,
            formula=self.formula,
        )

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
    ) -> FitResult:
        """Estimate the coefficients.

        Parameters
        ----------
        data : Moments, Source, or anything that `streamreg.open` takes
        y, weight : array_like, shape (n,), optional
            Target and weights, where `data` is a matrix: ``fit(X, y)`` is ``fit((X, y))``.
        threads : int, optional
        progress : bool, optional
        engine, checkpoint, on_fault : optional
            Who works on the rows, and what is done about breaks and faults, as in `streamreg.scan`.

        Raises
        ------
        NotFound
            A restriction names what is not a feature.
        UsageError
            The restrictions cannot be read, follow from each other or contradict each other.
        """
        data = together(data, y, weight)
        began = time.perf_counter()
        moments, label, passes = as_moments(data), "moments", 0
        if moments is None:
            source = as_source(data, self.target)
            moments = scan(source, self.features, self.missing, threads, progress, engine=engine)
            label, passes = source.label, 1
        with one_thread(len(moments.names)):
            fit = self._solve(moments, label, passes)
        return dataclasses.replace(fit, seconds=time.perf_counter() - began)

    def _solve(self, moments: Moments, label: str, passes: int) -> FitResult:
        moments, features = refilled_of(moments, self.missing, self.features)
        problem = moments.problem(moments.explained(self.target), features, self.intercept)
        parsed = restrictions.parse(self.restrictions, problem.names)
        if parsed.matrix[:, 0].any():
            raise UsageError("restrict slopes only; intercept=False is a line through the origin")
        scaled = Scaled.of(problem)
        restrictions.independent(parsed, np.concatenate([[1.0], np.ldexp(scaled.norm, scaled.exponent)]))
        reduced = constrained.reduce(problem, parsed.matrix[:, 1:], parsed.value)
        found = cholesky.solve(reduced.problem)
        origin = Origin.of(moments, problem.target, label, passes, "float64")
        free = result(self, reduced.problem, found, origin)
        return _expand(free, problem, scaled, reduced, parsed)


def _expand(
    free: FitResult,
    problem: Problem,
    scaled: Scaled,
    reduced: constrained.Reduced,
    parsed: restrictions.Restrictions,
) -> FitResult:
    """Return the result for the columns of the data, from that for the free directions."""
    p, geometry = len(problem.names), free.geometry
    assert geometry is not None
    unit = np.ldexp(scaled.norm, scaled.exponent)
    coef = reduced.particular + reduced.basis @ free.coef
    for row, value in zip(parsed.matrix[:, 1:], parsed.value, strict=True):
        if np.count_nonzero(row) == 1:
            coef[row != 0] = value / row[row != 0]
    basis = reduced.basis[:, geometry.kept] * unit[:, None] / geometry.norms()[geometry.kept]
    inverse = basis @ geometry.inverse @ basis.T
    errors = free.sigma * np.sqrt(np.maximum(np.diag(inverse), 0.0)) / unit
    fixed = np.abs(basis).max(axis=1, initial=0.0) < 1e-12
    errors[fixed] = 0.0 * free.sigma
    null_space = reduced.basis @ geometry.null_space
    identifiable = ~(
        np.abs(null_space * unit[:, None]) > 1e-9 * np.abs(unit[:, None] * null_space).max(initial=0.0)
    ).any(axis=1)
    errors[~identifiable] = np.nan
    centre = problem.mean[0][:p].copy() if problem.intercept else np.zeros(p)
    return dataclasses.replace(
        free,
        names=problem.names,
        columns=problem.names,
        coef=coef,
        std_errors=errors,
        tss=scaled.tss,
        constant=False,  # its sum of squares is about zero
        identifiable=identifiable,
        dependencies=(),
        digits=np.where(identifiable, _digits(free, reduced, coef, fixed), np.nan),
        centre=centre,
        at_centre=float(scaled.at_means(coef[None], centre)[0]),
        geometry=Geometry(scaled.gram, inverse, np.arange(p), scaled.norm, scaled.exponent, null_space, problem.weight),
    )


def _digits(free: FitResult, reduced: constrained.Reduced, coef: Float, fixed: NDArray[np.bool_]) -> Float:
    """Carry the errors of the free directions over to the columns."""
    error = np.abs(reduced.basis) @ np.nan_to_num(np.abs(free.coef) * 10.0**-free.digits)
    relative = np.divide(error, np.abs(coef), out=np.ones(len(coef)), where=coef != 0)
    return np.asarray(np.where(fixed, FULL, np.clip(-np.log10(np.maximum(relative, 1e-16)), 0.0, FULL)))
