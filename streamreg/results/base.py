"""What a fit returns, and what can be asked of it: covariances, predictions, tables, files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import UsageError, typed
from streamreg.inference import statistics
from streamreg.persist import archive
from streamreg.reporting.frames import frame
from streamreg.reporting.result import Result
from streamreg.reporting.table import Table
from streamreg.results import sense
from streamreg.results.absorbed import Effects
from streamreg.results.estimates import Estimates, Scale
from streamreg.solve.conditioning import Conditioning, analyse

if TYPE_CHECKING:
    from streamreg.results.anova import Anova

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class FitResult(Estimates, Result):
    """Estimates of a linear predictor, and what is known about them; the attributes are those of `Estimates`."""

    KIND: ClassVar[str] = "fit"
    _APART: ClassVar[tuple[str, ...]] = ("geometry", "centre", "at_centre", "log_weight", "sandwich", "absorbed")
    _ASKED: ClassVar[tuple[str, ...]] = (
        *("errors", "tvalues", "pvalues", "rsquared", "rsquared_adj"),
        *("fvalue", "f_pvalue", "log_likelihood", "aic", "bic"),
    )

    @property
    def rsquared_within(self) -> float:
        """Share explained of the sum of squares that effects of absorbed factors leave; `rsquared` without such."""
        return self.rsquared if self.absorbed is None else statistics.r_squared(self.absorbed.tss, self.rss)

    @typed
    def effects(self, factor: str) -> Effects:
        """Return the effect of each level of an absorbed factor: a mapping, and arrays.

        The effects of each factor have mean zero over the rows, with their weights.

        Raises
        ------
        NotFound
            No such factor was absorbed.
        UsageError
            None was.
        """
        if self.absorbed is None:
            raise UsageError("no factor was absorbed; fit sr.Linear(absorb=...) for effects")
        return self.absorbed.of(factor)

    @typed
    def anova(self, sums: Literal["sequential", "partial"] = "sequential") -> "Anova":
        """Return what each term of the fit adds, with tests. No row is read; see also `streamreg.anova`.

        Parameters
        ----------
        sums : {"sequential", "partial"}
            Sums of squares of each term after those before it (type I), of lines with classical errors; or Wald tests
            of each term after all others (type III), of any fit with errors. The columns that a term of a formula makes
            are one line.

        Raises
        ------
        UsageError
            The fit has no standard errors, no terms, or no sums of this kind; the message says what to do.
        """
        from streamreg.results.anova import of_terms

        return of_terms(self, sums)

    @typed
    def ratios(self, level: float = 0.95) -> Table:
        """Return odds ratios (logit link), ratios of means (log) or hazard ratios (cloglog), with Wald intervals.

        Columns: term, ratio, low, high, p. The table prints, and its `data()` has all digits.

        Raises
        ------
        UsageError
            The link is another one, or `level` is no share.
        """
        from streamreg.results.ratios import of

        return of(self, level)

    def cov(self) -> Float:
        """Return the covariance of the slopes, shape (p, p); NaN where a coefficient is not identifiable.

        Raises
        ------
        UsageError
            The model gives no errors (Keras).
        """
        if self.geometry is None or self.method == "mini-batch":
            raise UsageError("this result has no covariance: it was trained, not solved; fit sr.Linear for errors")
        scaled = self.geometry.inverse * self.sigma**2 if self.sandwich is None else self.sandwich.cov[1:, 1:]
        out = self.geometry.unscaled(scaled)
        out[~self.identifiable] = np.nan
        out[:, ~self.identifiable] = np.nan
        return out

    @typed
    def predict(
        self,
        data: Any,
        kind: Scale = "mean",
        unseen: Literal["error", "reference", "own", "missing"] = "error",
        *,
        interval: Literal["confidence", "prediction"] | None = None,
        level: float = 0.95,
        missing: Literal["error", "drop"] = "drop",
        to: str | os.PathLike[str] | None = None,
        id: str | Sequence[str] = (),
        append: bool = False,
        force: bool = False,
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
    ) -> Any:
        """Return fitted values: means of the target, which are probabilities in the binomial family.

        Parameters
        ----------
        data : array of shape (m, number of columns), data frame, or Source
            An array has its columns in the order of `columns`, then absorbed factors; a data frame has them by name, in
            any order and beside others. A source is read as a stream, by column names.
        kind : {"mean", "link"}
            "link": the linear predictor, such as the logit of a probability.
        unseen : {"error", "reference", "own", "missing"}
            A level of a category or of an absorbed factor that did not occur in the fit is refused, taken for the
            reference, given no effect, or has no prediction. Of absorbed factors the reference is one with the mean
            of their effects, and so is no effect.
        interval : {"confidence", "prediction"}, optional
            Give also standard errors and intervals: of the mean, or of one new observation of weight 1. They are by
            Student's t, with the covariance of the fit, robust or not. Of generalised linear models there are those of
            the mean, computed for the linear predictor.
        level : float
            Of the intervals.
        missing : {"error", "drop"}
            A row with a missing value has no prediction, which is NaN; "error": such rows of a source are refused.
        to : path, optional
            Write the predictions to this file instead; see `streamreg.results.predict.predict_to`. `data` may then be
            anything that `streamreg.open` takes.
        id : str or sequence of str
            Columns of the data that are written before the predictions.
        append : bool
            All columns of the data are.
        force : bool
            Replace a file that is there.
        threads, progress, engine
            As in `streamreg.scan`, for a source and a file.

        Returns
        -------
        ndarray of shape (m,)
            With `interval`: `Predictions`, with `prediction`, `std_error`, `lower` and `upper`. With `to`: `Written`,
            with `path`, `rows`, and how many of them are `missing` a prediction.

        Raises
        ------
        UsageError
            No such `kind`, no rows (moments, or a path), or no intervals; the message says why.
        DataError
            The array has another number of columns, is masked, or is not of numbers.
        NotFound
            The source or data frame lacks a column.
        """
        from streamreg.results.predict import predict, predict_to

        asked: dict[str, Any] = {"interval": interval, "level": level, "missing": missing, "unseen": unseen}
        workers: dict[str, Any] = {"threads": threads, "progress": progress, "engine": engine}
        if to is not None:
            return predict_to(to, self, data, kind, id=id, append=append, force=force, **asked, **workers)
        if id or append or force:
            raise UsageError("id, append and force are for predictions that are written; pass to='predictions.parquet'")
        return predict(self, data, kind, **asked, **workers)

    @typed
    def code(self, language: Literal["r", "stata", "statsmodels", "fixest", "pyfixest", "sklearn"]) -> str:
        """Return the call of another program that should give the same numbers; its data are called `data`.

        Raises
        ------
        UsageError
            No such language, or that program has no counterpart of a part of the model.
        """
        from streamreg.results.code import code

        return code(self, language)

    def conditioning(self) -> Conditioning:
        """Return variance inflation factors, condition indices, and which columns nearly depend on each other.

        Raises
        ------
        UsageError
            The model keeps no second moments.
        """
        if self.geometry is None:
            raise UsageError("this result has no second moments to judge the columns by; fit sr.Linear for them")
        return analyse(self.names, self.geometry.root, self.geometry.kept, self.identifiable)

    def __repr__(self) -> str:
        of = f" of {self.target}" if self.target else ""
        rows = f", {self.n:,} rows of {self.source}" if self.source else ""
        return f"<FitResult{of} on {len(self.names)} terms{rows}: {self.status}>"

    @typed
    def table(self, rows: int | None = None, level: float = 0.95) -> Table:
        """Return estimates, errors and diagnostics as a table.

        Parameters
        ----------
        rows : int, optional
            Show only so many coefficients beside the intercept.
        level : float
            Of the confidence intervals, between 0 and 1.
        """
        from streamreg.results.summary import table

        return table(self, rows, level)

    @typed
    def summary(self, rows: int | None = None) -> str:
        """Return a table of estimates, errors and diagnostics; `rows` shows only the first few coefficients."""
        return self.table(rows).text()

    @typed
    def to_frame(self, level: float = 0.95) -> Any:
        """Return the table of coefficients as a data frame of pandas, or of polars where pandas is not installed.

        Columns: term, estimate, std_error, t, p, low and high of the interval, digits. The intercept comes first.

        Raises
        ------
        MissingExtra
            Neither is installed.
        """
        return frame(self.table(level=level).data())

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python values, for JSON; what is undefined is None."""
        out = super().to_dict() | {"conf_int": archive.plain(self.conf_int())}
        if self.absorbed is not None:
            out |= {"absorbed": self.absorbed.to_dict(), "rsquared_within": archive.plain(self.rsquared_within)}
        return out

    def _sense(self) -> None:
        sense.of_fit(self)
