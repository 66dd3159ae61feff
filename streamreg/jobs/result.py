"""What a job found, as text and as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from streamreg._version import __version__
from streamreg.comparison import Comparison
from streamreg.families import family
from streamreg.reporting import tables
from streamreg.reporting.figures import number
from streamreg.results.base import FitResult
from streamreg.results.by_group import GroupFits
from streamreg.results.classes import ClassFit
from streamreg.results.predict import Written
from streamreg.results.summary import estimates
from streamreg.scoring.scorecard import Scorecard
from streamreg.tools.inspect import size

_LEVELS = 20
"""How many levels a report has; a table beside it has all of them."""

_PARTS = ("fits", "comparisons", "scores", "failures", "predictions")


@dataclass(frozen=True, slots=True)
class Failure:
    """A part of a job that has no result.

    Attributes
    ----------
    part : str
        Such as "fits.ridge" or "compare.0".
    reason : str
    exit_code : int
        2 for a wrong use, 3 for wrong data.
    """

    part: str
    reason: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class SharedScan:
    """The first pass of several fits.

    Attributes
    ----------
    fits : tuple of str
        The fits that begin with it. Each of them counts it among its passes, and none of them its seconds.
    seconds : float
        Wall time.
    """

    fits: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class JobResult:
    """What a job found.

    Attributes
    ----------
    job, data : str
        The job file and the data file.
    generated : bool
        Whether the data file was made first.
    rows, columns : int
        Of the data; the target and weights are among the columns.
    seconds : float
        Wall time of the fits and comparisons; reading included, generating not.
    passes : int
        Times that the rows were read, all fits, comparisons and scores together.
    peak_memory : int
        Of this process so far, in bytes; the library that Keras runs on is in it, if a fit trains.
    peak_memory_before_training : int or None
        The same before the first fit that trains with Keras, when all other fits have been made; None without training.
    shared_scan : SharedScan or None
    fits : mapping of str to FitResult, NetworkResult or GroupFits
    comparisons : tuple of Comparison
    scores : tuple of Scorecard
    truth : dict or None
        The true coefficients, if the data were generated.
    outputs : tuple of str
        Files that were written.
    failures : tuple of Failure
        Fits that failed, and comparisons, scores and predictions that failed or lack a fit.
    where : str
        The condition that rows had to meet, if there was one.
    predictions : tuple of Written
        Files of predictions.
    """

    job: str
    data: str
    generated: bool
    rows: int
    columns: int
    seconds: float
    passes: int
    peak_memory: int
    peak_memory_before_training: int | None
    shared_scan: SharedScan | None
    fits: Mapping[str, Any]
    comparisons: tuple[Comparison, ...]
    scores: tuple[Scorecard, ...]
    truth: dict[str, Any] | None
    outputs: tuple[str, ...]
    failures: tuple[Failure, ...] = ()
    where: str = ""
    predictions: tuple[Written, ...] = ()

    @property
    def exit_code(self) -> int:
        """The greatest of the failures' exit codes; 0 if nothing failed."""
        return max((failure.exit_code for failure in self.failures), default=0)

    @property
    def statuses(self) -> list[str]:
        """Status of each fit, and verdict of each comparison."""
        return [*(fit.status for fit in self.fits.values()), *(c.verdict for c in self.comparisons)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        out = {name: getattr(self, name) for name in self.__slots__ if name not in _PARTS}
        out["fits"] = {
            name: fit.brief(_LEVELS) if isinstance(fit, GroupFits) else fit.to_dict() for name, fit in self.fits.items()
        }
        out["shared_scan"] = None if self.shared_scan is None else asdict(self.shared_scan)
        out["comparisons"] = [c.to_dict() for c in self.comparisons]
        out["scores"] = [card.to_dict() for card in self.scores]
        out["predictions"] = [one._asdict() for one in self.predictions]
        out["failures"] = [asdict(failure) for failure in self.failures]
        return {"streamreg": __version__, **out, "outputs": list(self.outputs)}

    def brief(self) -> str:
        """Return the verdicts, a line for each fit, and what was written."""
        lines = [
            f"{c.labels[0]} and {c.labels[1]}: {c.verdict}. {c.reason} {c.advice}".strip() for c in self.comparisons
        ]
        lines += [f"{name}: {_in_a_line(fit)}" for name, fit in self.fits.items()]
        lines += [card.summary() for card in self.scores]
        lines += [str(one) for one in self.predictions]
        lines += [f"Failed: {failure.reason}" for failure in self.failures]
        passes = f"{self.passes} pass{'' if self.passes == 1 else 'es'}"
        lines.append(
            f"{passes} over {self.rows:,} rows in {self.seconds:.2f} seconds, {size(self.peak_memory)} of memory."
        )
        lines += [f"Wrote {', '.join(self.outputs)}."] if self.outputs else []
        return "\n".join(tables.wrapped(line) for line in lines)

    def table(self, rows: int = 10) -> str:
        """Return the results as text, with the first `rows` coefficients, beside the true ones where they are known."""
        facts = [
            ("rows", f"{self.rows:,}"),
            *([("where", self.where)] if self.where else []),
            ("columns", f"{self.columns:,}"),
            ("passes", str(self.passes)),
            ("seconds", f"{self.seconds:.2f}"),
            *self._memory,
        ]
        header = ("fit", "status", "passes", "seconds", "R2", "residual sd")
        scan = self.shared_scan
        lines = [("(shared scan)", "ok", "1", f"{scan.seconds:.2f}", "-", "-")] if scan else []
        for name, fit in self.fits.items():
            own = of_all(fit).passes - (scan is not None and name in scan.fits)
            lines.append((name, fit.status, str(own), f"{of_all(fit).seconds:.2f}", *_goodness(fit)))
        notes = []
        if scan is not None:
            notes = [
                f"The shared scan is the first pass of {', '.join(scan.fits)}; their own passes and seconds follow it."
            ]
        title = f"{self.job}\n{self.data}{' (generated)' if self.generated else ''}"
        parts = [tables.render(title, facts, header, lines, notes)]
        parts += [self._coefficients(rows)] if self._lines else []
        parts += [str(fit.table(rows)) for fit in self.fits.values() if isinstance(fit, ClassFit)]
        by_level = {name: fit for name, fit in self.fits.items() if isinstance(fit, GroupFits)}
        parts += [str(fit.table(rows, 5, f"{name}: a line for each {fit.by}")) for name, fit in by_level.items()]
        parts += [str(c.table(min(rows, 5))) for c in self.comparisons]
        parts += [str(card) for card in self.scores]
        parts += [str(one) for one in self.predictions]
        parts += ["\n".join(f"Failed: {failure.reason}" for failure in self.failures)] if self.failures else []
        parts += [f"Wrote {', '.join(self.outputs)}."] if self.outputs else []
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<JobResult of {self.job}: {', '.join(self.fits)}>"

    @property
    def _memory(self) -> list[tuple[str, str]]:
        if self.peak_memory_before_training is None:
            return [("peak memory", size(self.peak_memory))]
        return [
            ("peak memory before training", size(self.peak_memory_before_training)),
            ("peak memory with training", size(self.peak_memory)),
        ]

    @property
    def _lines(self) -> dict[str, FitResult]:
        return {name: fit for name, fit in self.fits.items() if isinstance(fit, FitResult)}

    def _coefficients(self, rows: int) -> str:
        columns: list[tuple[str, dict[str, str]]] = []
        if self.truth:
            values = dict(zip(self.truth["columns"], self.truth["coef"], strict=False))  # the target has none
            values["(intercept)"] = self.truth["intercept"]
            columns.append(("true", {name: number(value, 8) for name, value in values.items()}))
        for name, fit in self._lines.items():
            shown = estimates(fit)
            columns.append((name, {term: estimate for term, (estimate, _) in shown.items()}))
            if np.isfinite(fit.std_errors).any():
                columns.append(("std error", {term: error for term, (_, error) in shown.items()}))
        names = list(dict.fromkeys(term for _, cells in columns[bool(self.truth) :] for term in cells))
        lines = [[name, *(cells.get(name, "-") for _, cells in columns)] for name in names[: rows + 1]]
        more = len(names) - len(lines)
        notes = [f"... and {more:,} more coefficients"] if more > 0 else []
        return tables.render("Coefficients", [], ("", *(title for title, _ in columns)), lines, notes)


def of_all(fit: Any) -> Any:
    """Return the fit of all rows, of lines by level; others are that themselves."""
    return fit.pooled if isinstance(fit, GroupFits) else fit


def _in_a_line(fit: Any) -> str:
    """Return what a fit is of, and how it ended."""
    goodness, spread = _goodness(fit)
    facts = [f"{of_all(fit).n:,} rows", *([] if goodness == "-" else [f"R2 {goodness}"])]
    facts += [] if spread in ("-", "nan") else [f"residual sd {spread}"]
    return f"{fit.status}; {', '.join(facts)}"


def _goodness(fit: Any) -> tuple[str, str]:
    if not isinstance(fit, FitResult | GroupFits):
        return "-", "-"
    return f"{fit.rsquared:.6f}", f"{fit.sigma:.6g}" if family(of_all(fit).family).least_squares else "-"
