"""Factors that are numbers: an expression, and the scalings, polynomials and splines that are learned of the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula import expressions
from streamreg.design.formula.learning import Learner
from streamreg.design.formula.quantiles import Quantiles
from streamreg.design.formula.sums import Sums
from streamreg.errors import DataError
from streamreg.sources.chunk import Column

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where values come from, for the messages of what is wrong with them.

    Attributes
    ----------
    label : str
    start : int
        Number of the first row.
    zones : mapping of str to str
        Time zones of columns.
    """

    label: str
    start: int
    zones: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Number:
    """An expression of columns, or one column as it is.

    Attributes
    ----------
    text : str
    """

    text: str

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read."""
        return expressions.columns(self.text)

    @property
    def plain(self) -> bool:
        """Whether it is a column as it is."""
        return self.columns == (self.text,)

    def learns(self) -> Learner | None:
        """Return nothing: there is nothing to learn."""
        return None

    def learned(self, state: Any) -> "Number":
        """Return itself."""
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Its text."""
        return (self.text,)

    def values(self, table: Mapping[str, Column], place: Place) -> Float:
        """Return the values, shape (m, 1)."""
        return expressions.value(self.text, table, place.zones, place.label, place.start)[:, None]


@dataclass(frozen=True, slots=True)
class Scaled:
    """An expression less its mean, and divided by its standard deviation if `scale` is true.

    Attributes
    ----------
    text, inner : str
    scale : bool
    mean, std : float or None
    """

    text: str
    inner: str
    scale: bool
    mean: float | None = None
    std: float = 1.0

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read."""
        return expressions.columns(self.inner)

    def learns(self) -> Learner | None:
        """Return what finds the mean, unless it is known."""
        return Sums(self.inner, 2) if self.mean is None else None

    def learned(self, state: Any) -> "Scaled":
        """Return the factor with the mean and standard deviation that were found."""
        mean, std = state.mean_and_std()
        if self.scale and not std > 0:
            raise DataError(f"{self.text}: {self.inner} is the same in every row, and cannot be scaled")
        return replace(self, mean=mean, std=std if self.scale else 1.0)

    @property
    def names(self) -> tuple[str, ...]:
        """Its text."""
        return (self.text,)

    def values(self, table: Mapping[str, Column], place: Place) -> Float:
        """Return the values, shape (m, 1)."""
        assert self.mean is not None, "the mean is learned before use"
        found = expressions.value(self.inner, table, place.zones, place.label, place.start)
        return ((found - self.mean) / self.std)[:, None]


@dataclass(frozen=True, slots=True)
class Polynomial:
    """Powers of an expression, or polynomials that are orthonormal over the rows (as R's `poly` makes them).

    Attributes
    ----------
    text, inner : str
    degree : int
    raw : bool
    alpha, norms : tuple of float
        Of the three-term recurrence (Stieltjes' procedure; Gautschi 2004, *Orthogonal polynomials*, section 2.2).
    """

    text: str
    inner: str
    degree: int
    raw: bool = False
    alpha: tuple[float, ...] = ()
    norms: tuple[float, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read."""
        return expressions.columns(self.inner)

    def learns(self) -> Learner | None:
        """Return what finds the power sums, unless the recurrence is known or not needed."""
        return None if self.raw or self.alpha else Sums(self.inner, 2 * self.degree)

    def learned(self, state: Any) -> "Polynomial":
        """Return the factor with the recurrence of the rows that were found."""
        try:
            alpha, norms = state.recurrence(self.degree)
        except ZeroDivisionError:
            raise DataError(
                f"{self.text}: {self.inner} has too few different values for degree {self.degree}; lower the degree"
            ) from None
        return replace(self, alpha=alpha, norms=norms)

    @property
    def names(self) -> tuple[str, ...]:
        """One for each degree."""
        return tuple(f"{self.text}[{k}]" for k in range(1, self.degree + 1))

    def values(self, table: Mapping[str, Column], place: Place) -> Float:
        """Return the values, shape (m, degree)."""
        x = expressions.value(self.inner, table, place.zones, place.label, place.start)
        if self.raw:
            return np.column_stack([x**k for k in range(1, self.degree + 1)])
        rows = [np.ones(len(x)), x - self.alpha[0]]
        for k in range(1, self.degree):
            rows.append((x - self.alpha[k]) * rows[k] - self.norms[k] / self.norms[k - 1] * rows[k - 1])
        return np.column_stack([row / np.sqrt(norm) for row, norm in zip(rows[1:], self.norms[1:], strict=True)])


@dataclass(frozen=True, slots=True)
class Spline:
    """A B-spline basis of an expression (de Boor 2001, *A practical guide to splines*), as R's `bs` makes it.

    Attributes
    ----------
    text, inner : str
    df, degree : int
        Columns, and degree of the pieces.
    intercept : bool
        Whether the basis holds the constant.
    knots : tuple of float
        With those beyond the ends; quantiles of the expression, between its least and its greatest value.
    """

    text: str
    inner: str
    df: int
    degree: int = 3
    intercept: bool = False
    knots: tuple[float, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read."""
        return expressions.columns(self.inner)

    def learns(self) -> Learner | None:
        """Return what finds the quantiles, unless the knots are known."""
        return None if self.knots else Quantiles(self.inner)

    def learned(self, state: Any) -> "Spline":
        """Return the factor with knots at quantiles of the rows that were found."""
        inner = self.df - self.degree - self.intercept
        ends = state.quantiles(np.linspace(0, 1, inner + 2))
        if not ends[0] < ends[-1]:
            raise DataError(f"{self.text}: {self.inner} is the same in every row, so there is no spline of it")
        beyond = [ends[0]] * self.degree, [ends[-1]] * self.degree
        return replace(self, knots=(*beyond[0], *ends, *beyond[1]))

    @property
    def names(self) -> tuple[str, ...]:
        """One for each column of the basis."""
        return tuple(f"{self.text}[{k}]" for k in range(not self.intercept, self.df + (not self.intercept)))

    def values(self, table: Mapping[str, Column], place: Place) -> Float:
        """Return the values, shape (m, df).

        Raises
        ------
        DataError
            A value is beyond those that the knots were made of, with its row.
        """
        from scipy.interpolate import BSpline

        x = expressions.value(self.inner, table, place.zones, place.label, place.start)
        low, high = self.knots[0], self.knots[-1]
        if (beyond := (x < low) | (x > high)).any():
            row = int(np.argmax(beyond))
            raise DataError(
                f"{place.label}, row {place.start + row:,} (from 0): {self.inner} = {x[row]:.17g} is beyond the range "
                f"of the rows that {self.text} was made of ({low:.6g} to {high:.6g}), where a spline says nothing"
            )
        missing = np.isnan(x)
        basis = BSpline.design_matrix(np.where(missing, low, x), np.array(self.knots), self.degree).toarray()
        basis[missing] = np.nan
        return np.asarray(basis if self.intercept else basis[:, 1:])
