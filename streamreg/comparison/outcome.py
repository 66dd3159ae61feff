"""What a comparison returns: verdict, distances, and both as a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamreg.comparison.diagnosis import Verdict, figure
from streamreg.errors import typed
from streamreg.persist.archive import plain
from streamreg.reporting.result import Result
from streamreg.reporting.table import Column, Table
from streamreg.results.distance import Direction

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Comparison(Result):
    """Outcome of `compare`. True if the fits agree.

    Attributes
    ----------
    verdict : {"agree", "agree where identifiable", "cannot tell", "not converged", "differ"}
        "cannot tell": the digits leave it open. It is the same if the two fits change places.
    reason, advice : str
        One sentence each, or two; `advice` is empty where there is nothing to do.
    names : tuple of str
        The features, in the order of the first fit.
    coef : tuple of two ndarrays of shape (p,)
    distance : ndarray of shape (p,)
        ``|difference| / SE`` for each coefficient; NaN where it is not identifiable. For a perfect fit, whose errors
        are zero, the norm of the target stands in for the residual standard error.
    intercept_distance : float
        Likewise; NaN if neither fit has an intercept, or the data do not determine it.
    max_distance : float
        The greatest distance among coefficients, intercept, fitted mean and directions.
    bounds : tuple of two floats
        What that distance (the fitted one, for a perfect fit) is at least and at most, as far as the digits of the
        fits support a difference and the moments are known.
    wald : float
        ``sqrt((b - b^)'S(b - b^) / (s**2 k))`` for k coefficients: joint distance in standard errors.
    excess_loss : float
        ``rss(b) / rss_min - 1`` of the farther fit (its deviance, in families other than gaussian).
    fitted_distance : float
        ``||X(b - b^)|| / ||y - mean(y)||``.
    from_minimum : tuple of two floats
        Newton distance of each fit from the minimum of the loss. NaN where the minimum is not known, as `excess_loss`,
        `gradient` and `newton` then are.
    gradient : float
        Of the farther fit: the largest score of a column divided by its standard deviation. Zero at the minimum; one
        where that column alone, the others held fast, would ask for a step of one standard error.
    newton : float
        ``sqrt(g'H^-1 g)`` of the farther fit, g being the gradient of the loss and H its curvature: no coefficient is
        farther from the minimum than so many standard errors.
    from_rows : bool
        Whether gradient and Newton distance were computed from the rows, not from the curvature at the minimum.
    directions : tuple of Direction
        Those that carry most of the difference, the farthest first.
    tolerance : float
        Standard errors within which fits agree.
    labels : tuple of str
    passes : int
        Times that the rows were read. Where several comparisons share a measure, the first of them counts it.
    provenance : dict
        Those of the two `fits`.
    """

    KIND: ClassVar[str] = "comparison"

    verdict: Verdict
    reason: str
    advice: str
    names: tuple[str, ...]
    coef: tuple[Float, Float]
    distance: Float
    intercept_distance: float
    max_distance: float
    bounds: tuple[float, float]
    wald: float
    excess_loss: float
    fitted_distance: float
    from_minimum: tuple[float, float]
    gradient: float
    newton: float
    from_rows: bool
    directions: tuple[Direction, ...]
    tolerance: float
    labels: tuple[str, str]
    passes: int
    provenance: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.verdict.startswith("agree")

    @property
    def status(self) -> str:
        """The verdict."""
        return self.verdict

    def __repr__(self) -> str:
        return f"<Comparison on {len(self.names)} terms: {self.verdict}>"

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return the comparison as a table, with the `rows` most distant coefficients (None: all)."""
        order = np.argsort(-np.nan_to_num(self.distance, nan=-1.0), kind="stable")[:rows]
        a, b = (coef[order] for coef in self.coef)
        columns = [
            Column.of("term", [self.names[i] for i in order], header=""),
            Column.of("first", a, lambda v: figure(v, 8), self.labels[0]),
            Column.of("second", b, lambda v: figure(v, 8), self.labels[1]),
            Column.of("difference", b - a, figure),
            Column.of("distance", self.distance[order], figure, "in SE"),
        ]
        facts = [
            ("max |difference| / SE", figure(self.max_distance)),
            ("Wald distance", figure(self.wald)),
            ("Newton distance", figure(self.newton) + (" (from the rows)" if self.from_rows else "")),
            ("gradient", figure(self.gradient)),
            ("tolerance", f"{self.tolerance:g} SE"),
            ("excess loss", figure(self.excess_loss)),
            ("fitted-value distance", figure(self.fitted_distance)),
            ("intercept distance", figure(self.intercept_distance)),
        ]
        notes = [f"Verdict: {self.verdict}. {self.reason}"] + ([self.advice] if self.advice else [])
        if rows is not None and rows < len(self.names):
            notes.insert(0, f"The {rows} most distant of {len(self.names)} coefficients.")
        return Table(f"{self.labels[0]} against {self.labels[1]}", facts, columns, notes)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values, for JSON."""
        directions = [plain(d) | {"along": str(d)} for d in self.directions]
        return Result.to_dict(self) | {"directions": directions}


@dataclass(frozen=True, repr=False, slots=True)
class Comparisons(Result):
    """Several fits, each compared with one of them. True if all agree.

    Attributes
    ----------
    reference : str
        The one that the others are compared with.
    pairs : mapping of str to Comparison
    """

    KIND: ClassVar[str] = "comparisons"

    reference: str
    pairs: Mapping[str, Comparison]

    def __bool__(self) -> bool:
        return all(self.pairs.values())

    def __getitem__(self, name: str) -> Comparison:
        return self.pairs[name]

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{name}: {pair.verdict}" for name, pair in self.pairs.items())
        return f"<Comparisons with {self.reference}: {verdicts}>"

    @property
    def status(self) -> str:
        """The verdict if it is one, or else the first that is no agreement."""
        verdicts = [pair.verdict for pair in self.pairs.values()]
        return next((verdict for verdict in verdicts if not verdict.startswith("agree")), verdicts[0])

    @property
    def provenance(self) -> dict[str, Any]:
        """Those of the fits of each pair, by name."""
        return {name: pair.provenance for name, pair in self.pairs.items()}

    @typed
    def table(self, rows: int | None = 20) -> Table:
        """Return a table with a line for each of the first `rows` pairs."""
        shown = list(self.pairs.items())[:rows]
        pairs = [pair for _, pair in shown]
        columns = [
            Column.of("fit", [name for name, _ in shown], header=f"against {self.reference}"),
            Column.of("verdict", [pair.verdict for pair in pairs]),
            Column.of("max_distance", [pair.max_distance for pair in pairs], figure, "max in SE"),
            Column.of("wald", [pair.wald for pair in pairs], figure, "Wald"),
            Column.of("newton", [pair.newton for pair in pairs], figure, "Newton"),
            Column.of("excess_loss", [pair.excess_loss for pair in pairs], figure, "excess loss"),
        ]
        notes = [f"{name}: {c.reason} {c.advice}".strip() for name, c in shown]
        return Table(f"{len(self.pairs) + 1} fits", [], columns, notes)
