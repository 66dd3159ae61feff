"""What rows say of marginal effects: how the mean of the target changes with a column, and with the coefficients."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.design.formula.encoder import FormulaEncoder
from streamreg.errors import DataError
from streamreg.families import family
from streamreg.results.estimates import Estimates
from streamreg.results.fitted import expanded, offsets
from streamreg.sources.chunk import Coded, Column

Float = NDArray[np.float64]
Kind = Literal["dydx", "dyex", "eydx", "eyex"]
"""What is averaged: a derivative of the mean by a column, or an elasticity, of the mean (ey) or by the column (ex)."""

_STEP = 6e-6  # relative: the cube root of the unit roundoff, which is best for central differences
_LEAST = 1e-3  # of the greatest number of a block, for numbers near zero
_CURVED = 1e-5  # step of the linear predictor for the second derivative of the mean


@dataclass(frozen=True, slots=True)
class Question:
    """An effect: the slope along a column, or the contrast between two of its values.

    Attributes
    ----------
    variable : str
    contrast : str
        How it is shown: "dY/dX", or "b - a".
    pair : tuple of (value, value) or None
        The values, the reference first; None: a slope.
    """

    variable: str
    contrast: str
    pair: tuple[Any, Any] | None = None


@dataclass(frozen=True)
class Slopes:
    """Sums over rows of each effect, and of its derivatives by the coefficients; see `streamreg.stats.margins.Rows`.

    A slope of a row is ``g'(eta) D b``, with the mean ``g(eta)`` and D the derivative of the row's terms by the column;
    its derivative by the coefficients b is ``g''(eta) (D b) z + g'(eta) D``, with z the terms less the fit's `centre`,
    and by the predictor there, ``g''(eta) (D b)``. A contrast is a difference of means. D is taken by central
    differences where terms are made by a formula or powers; else it is exact.

    Attributes
    ----------
    fit : Estimates
    questions : tuple of Question
    kind : str
    encoder : FormulaEncoder or None
    fixed : dict of str to value
        Columns that have one value in all rows.
    zones : mapping of str to str
        Time zones of columns.
    label : str
        What errors call the data.
    """

    fit: Estimates
    questions: tuple[Question, ...]
    kind: Kind = "dydx"
    encoder: FormulaEncoder | None = None
    fixed: dict[str, Any] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    label: str = "rows"

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of each row."""
        beside = self.fit.columns[len(self.fit.terms_of) :]
        own = self.fit.terms_of if self.encoder is None else self.encoder.columns
        return tuple(dict.fromkeys((*own, *beside)))

    @property
    def size(self) -> int:
        """The sum of weights, and for each effect: itself, and its derivatives by the predictor at the centre and b."""
        return 1 + len(self.questions) * (2 + len(self.fit.names))

    def sums(self, columns: Mapping[str, Column], weight: Float, start: int) -> Float:
        """Return the sums over some rows; see `size`."""
        columns = dict(columns) | {name: _constant(value, columns[name]) for name, value in self.fixed.items()}
        z, eta = self._terms(columns, start)
        count, p = len(self.questions), len(self.fit.names)
        values, levels, slopes = np.zeros(count), np.zeros(count), np.zeros((count, p))
        for k, asked in enumerate(self.questions):
            if asked.pair is None:
                along, first, second = self._slope(columns, asked.variable, z, eta, start)
                d, deta = along
                values[k] = weight @ (first * deta)
                curved = weight * second * deta
                levels[k] = curved.sum()
                slopes[k] = curved @ z
                if isinstance(d, int):
                    slopes[k, d] += weight @ first
                else:
                    slopes[k] += (weight * first) @ d
                continue
            for sign, value in zip((-1.0, 1.0), asked.pair, strict=True):
                there, predictor = self._terms(
                    columns | {asked.variable: _constant(value, columns[asked.variable])}, start
                )
                values[k] += sign * (weight @ self._mean(predictor))
                change = sign * weight * self._derivative(predictor)
                levels[k] += change.sum()
                slopes[k] += change @ there
        out = np.concatenate([[weight.sum()], values, levels, slopes.ravel()])
        if not np.isfinite(out).all():
            raise DataError(
                f"{self.label}: effects of rows from {start:,} on are not finite; look for infinite numbers"
            )
        return out

    def _slope(
        self, columns: Mapping[str, Column], name: str, z: Float, eta: Float, start: int
    ) -> tuple[tuple[int | Float, Float], Float, Float]:
        """Return D and D b, and what they are multiplied by in the effect and in its derivative."""
        coef = self.fit.line.coef
        if self.encoder is None and not self.fit.powers:
            place = self.fit.names.index(name)
            d: int | Float = place
            deta = np.full(len(eta), coef[place])
        else:
            d = self._differences(columns, name, z, start)
            deta = d @ coef
        first = self._derivative(eta)
        step = _CURVED * (1.0 + np.abs(eta))
        second = (self._derivative(eta + step) - self._derivative(eta - step)) / (2.0 * step)
        if self.kind in ("eydx", "eyex"):
            mean = self._mean(eta)
            first = first / mean
            second = second / mean - first**2
        if self.kind in ("dyex", "eyex"):
            x = np.asarray(columns[name], dtype=np.float64)
            first, second = first * x, second * x
        return (d, deta), first, second

    def _differences(self, columns: Mapping[str, Column], name: str, z: Float, start: int) -> Float:
        """Return the derivatives of the terms by a column, shape (m, p).

        At the ends of splines, beyond which there are none, differences are taken to the side where they are.
        """
        x = np.asarray(columns[name], dtype=np.float64)
        far = float(np.abs(x).max(initial=0.0))
        step = _STEP * np.maximum(np.abs(x), _LEAST * far if far else 1.0)

        def there(moved_by: Float) -> Float:
            return self._terms({**columns, name: x + moved_by}, start, lenient=True)[0]

        up, down = (x + step) - x, x - (x - step)
        found = (there(up) - there(-down)) / (up + down)[:, None]
        bad: NDArray[np.bool_] = np.asarray(~np.isfinite(found).all(axis=1))
        if not bad.any():
            return np.asarray(found)
        for side in (step, -step):
            near, far_away = there(side), there(2.0 * side)
            one = (4.0 * near - far_away - 3.0 * z) / (2.0 * side)[:, None]
            found = np.where(bad[:, None], one, found)
            bad = np.asarray(~np.isfinite(found).all(axis=1))
        return np.asarray(found)

    def _terms(self, columns: Mapping[str, Column], start: int, lenient: bool = False) -> tuple[Float, Float]:
        """Return the terms less the centre, and the linear predictor; NaN where terms are not defined, if `lenient`."""
        m = len(next(iter(columns.values())))
        beside = self.fit.columns[len(self.fit.terms_of) :]
        offset = None
        if self.encoder is None:
            rows = _matrix(columns, self.fit.columns, m)
            terms, low, offset = expanded(self.fit, rows)
        else:
            passed = np.zeros(m, bool) if lenient else None
            terms, low = self.encoder.design(columns, self.zones, self.label, start, passed)
            if beside:
                offset = offsets(tuple(self.fit.likelihood["beside"]), _matrix(columns, beside, m))
        z = self.fit.line.centred(terms, low)
        eta = self.fit.line.there(z)
        return z, eta if offset is None else eta + offset

    def _mean(self, eta: Float) -> Float:
        return family(self.fit.family).mean(eta)

    def _derivative(self, eta: Float) -> Float:
        return family(self.fit.family).derivative(eta)


def _matrix(columns: Mapping[str, Column], names: tuple[str, ...], m: int) -> Float:
    out = np.empty((m, len(names)))
    for k, name in enumerate(names):
        out[:, k] = np.asarray(columns[name])
    return out


def _constant(value: Any, like: Column) -> Column:
    """Return a column that has one value in all rows."""
    if isinstance(like, Coded):
        return Coded(np.zeros(len(like), np.int32), (str(value),))
    dtype = like.dtype
    if dtype.kind in "iu" and float(value) != int(value):
        dtype = np.dtype(np.float64)
    return np.full(len(like), value, dtype)
