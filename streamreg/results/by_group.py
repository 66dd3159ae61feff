"""The fits of groups of rows together: as a table, as a file, and whether the groups share a line."""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import CorruptError, UsageError, typed
from streamreg.families import family
from streamreg.inference import statistics
from streamreg.inference.distributions import f_tail
from streamreg.persist import archive, records
from streamreg.persist.atomic import whole
from streamreg.reporting.frames import frame
from streamreg.reporting.result import Result
from streamreg.reporting.table import Column, Table
from streamreg.results import sense
from streamreg.results.base import FitResult
from streamreg.results.chow import ChowTest
from streamreg.results.estimates import NAN
from streamreg.scans.moments_file import unpacked
from streamreg.stats.grouped import Grouped

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class GroupFits(Result, Mapping[int, FitResult]):
    """A fit for each group, by its number.

    Attributes
    ----------
    by : str
        The column, or other rule, that made the groups.
    fits : dict of int to FitResult
    pooled : FitResult
        One line for all groups.
    moments : Grouped
        What all of them were made from; `save` it, and any other line is fitted later without reading a row.
    """

    KIND: ClassVar[str] = "fits by group"

    by: str
    fits: dict[int, FitResult]
    pooled: FitResult
    moments: Grouped[Any]

    def __getitem__(self, key: int) -> FitResult:
        return self.fits[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    @property
    def coef(self) -> Float:
        """Slopes of the groups, shape (number of groups, p)."""
        return np.array([fit.coef for fit in self.fits.values()])

    @property
    def std_errors(self) -> Float:
        """Their standard errors, shape (number of groups, p)."""
        return np.array([fit.std_errors for fit in self.fits.values()])

    @property
    def statuses(self) -> dict[str, int]:
        """How many groups have which status."""
        return dict(Counter(fit.status for fit in self.fits.values()))

    @property
    def short(self) -> dict[int, int]:
        """The groups with fewer rows than coefficients, and their rows: the data do not determine their lines."""
        wanted = len(self.pooled.names) + self.pooled.has_intercept
        return {key: fit.n for key, fit in self.fits.items() if fit.n < wanted}

    @property
    def status(self) -> str:
        """Whether all groups ended well: "ok", "dependent", or the first that says more, and how many have it."""
        counts = self.statuses
        final = [status for status in counts if status not in ("ok", "dependent")]
        worst = final[0] if final else max(counts, key=("ok", "dependent").index)
        return worst if len(counts) == 1 else f"{worst} ({counts[worst]:,} of {len(self):,})"

    @property
    def provenance(self) -> dict[str, Any]:
        """As of `FitResult`, of all groups together."""
        return self.pooled.provenance

    @property
    def rsquared(self) -> float:
        """Share of the total sum of squares that the lines explain together; of the deviance, in other families."""
        if not family(self.pooled.family).least_squares:
            return statistics.r_squared(self.pooled.null_deviance, sum(fit.deviance for fit in self.fits.values()))
        return statistics.r_squared(self.pooled.tss, float(sum(fit.rss for fit in self.fits.values())))

    @property
    def sigma(self) -> float:
        """Standard error of the regression, if it is the same in all groups; NaN of other families than gaussian."""
        df = sum(max(fit.df_resid, 0.0) for fit in self.fits.values())
        known = df > 0 and family(self.pooled.family).least_squares
        return float(np.sqrt(sum(fit.rss for fit in self.fits.values()) / df)) if known else NAN

    def chow(self) -> ChowTest:
        """Test whether all groups share one line, errors being of equal variance (Chow 1960, *Econometrica* 28).

        ``F = ((RSS - sum RSS_g) / (sum k_g - k)) / (sum RSS_g / (n - sum k_g))`` with k the parameters that the rows
        determine; a group with fewer rows than parameters thus enters as in Chow's test of prediction.

        Raises
        ------
        UsageError
            Fewer than two groups, no degrees of freedom, or ridge estimates.
        """
        if not family(self.pooled.family).least_squares:
            raise UsageError("Chow's test is of lines by least squares; compare the deviances of nested fits instead")
        if self.pooled.model.get("ridge"):
            raise UsageError("ridge estimates are biased, so no test is given; fit without ridge")
        fits, pooled = list(self.fits.values()), self.pooled
        own = sum(fit.rank + fit.has_intercept for fit in fits)
        df_num = own - pooled.rank - pooled.has_intercept
        df_denom = pooled.nobs - own
        if df_num <= 0 or df_denom <= 0:
            raise UsageError(
                f"{len(fits)} groups with {own} parameters of their own, of {pooled.nobs:.10g} rows: comparing takes "
                "two groups or more, and more rows than parameters"
            )
        rss = float(sum(fit.rss for fit in fits))
        with np.errstate(divide="ignore", invalid="ignore"):
            f = float(np.float64(max(pooled.rss - rss, 0.0)) / df_num / (np.float64(rss) / df_denom))
        return ChowTest(f, df_num, df_denom, float(f_tail(f, df_num, df_denom)), pooled.rss, rss, self.provenance)

    @typed
    def table(self, rows: int | None = 20, columns: int | None = 6, title: str | None = None) -> Table:
        """Return a table with a line for each group: its rows, its fit, its first slopes with their errors.

        Parameters
        ----------
        rows, columns : int, optional
            Groups, and columns of the design, at most; None: all.
        title : str, optional
        """
        names = self.pooled.names[:columns]
        shown = list(self.fits.items())[:rows]
        fits = [fit for _, fit in shown]
        made = [
            Column.of("level", [key for key, _ in shown], header=self.by),
            Column.of("rows", [fit.n for fit in fits], lambda n: f"{n:,}"),
            Column.of("r2", [fit.rsquared for fit in fits], lambda v: f"{v:.4g}", "R2"),
        ]
        if self.pooled.has_intercept:
            pairs = [(fit.intercept, fit.intercept_std_error) for fit in fits]
            made.append(Column("(intercept)", "intercept", [b for b, _ in pairs], [_pair(*one) for one in pairs]))
        for k, name in enumerate(names):
            pairs = [(fit.coef[k], fit.std_errors[k]) for fit in fits]
            made.append(Column(name, name, [b for b, _ in pairs], [_pair(*one) for one in pairs]))
        notes = [f"... and {len(self) - rows} more groups"] if rows is not None and len(self) > rows else []
        if len(names) < len(self.pooled.names):
            notes.append(f"... and {len(self.pooled.names) - len(names)} more columns")
        if self.short:
            notes.append(f"Fewer rows than coefficients, so that the data do not determine the line: {self._named()}")
        try:
            notes.append(f"One line for all groups? Chow test: {self.chow()}")
        except UsageError as error:
            notes.append(f"No Chow test: {error}")
        facts = [("target", self.pooled.target), ("groups", f"{len(self):,}")]
        title = title or f"fits of {self.pooled.source} by {self.by}"
        return Table(title, facts, made, notes, [self._total(len(names))])

    def to_frame(self) -> Any:
        """Return a line for each group as a data frame: what `to_csv` writes.

        Raises
        ------
        MissingExtra
            Neither pandas nor polars is installed.
        """
        return frame(self._wide())

    def _wide(self) -> dict[str, list[Any]]:
        """Return a line for each group, with all of its coefficients and errors, column by column."""
        fits = list(self.fits.values())
        columns: dict[str, list[Any]] = {"level": list(self.fits), "rows": [fit.n for fit in fits]}
        columns |= {"status": [fit.status for fit in fits], "r2": [fit.rsquared for fit in fits]}
        if self.pooled.has_intercept:
            columns["coef (intercept)"] = [fit.intercept for fit in fits]
            columns["std_error (intercept)"] = [fit.intercept_std_error for fit in fits]
        for k, name in enumerate(self.pooled.names):
            columns[f"coef {name}"] = [float(fit.coef[k]) for fit in fits]
            columns[f"std_error {name}"] = [float(fit.std_errors[k]) for fit in fits]
        return columns

    def __repr__(self) -> str:
        return f"<GroupFits of {self.pooled.target}: {len(self):,} groups of {self.pooled.source} by {self.by}>"

    def _total(self, columns: int) -> list[str]:
        """Return the line of the fit of all rows."""
        fit = self.pooled
        pairs = [*zip(fit.coef[:columns], fit.std_errors[:columns], strict=True)]
        if fit.has_intercept:
            pairs.insert(0, (np.float64(fit.intercept), np.float64(fit.intercept_std_error)))
        return ["all", f"{fit.n:,}", f"{fit.rsquared:.4g}", *(_pair(*one) for one in pairs)]

    def _named(self, most: int = 5) -> str:
        shown = [f"{self.by} {key} ({n:,} of them)" for key, n in list(self.short.items())[:most]]
        more = [f"{len(self.short) - most:,} more"] if len(self.short) > most else []
        return ", ".join([*shown, *more])

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table with a line for each group: its rows, how its fit ended, its coefficients with their errors.

        Numbers have all their digits; what is undefined is empty.

        Raises
        ------
        NotFound
            The folder does not exist.
        DataError
            The file cannot be written.
        """
        columns = self._wide()
        with whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            put = csv.writer(file, lineterminator="\n")
            put.writerow(columns)
            for key, n, status, *numbers in zip(*columns.values(), strict=True):
                put.writerow([key, n, status, *(repr(float(v)) if np.isfinite(v) else "" for v in numbers)])

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python values, for JSON."""
        fits = {str(key): fit.to_dict() for key, fit in self.fits.items()}
        return {"by": self.by, "fits": fits, "pooled": self.pooled.to_dict()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fits and the moments that they were made from to one file."""
        values, arrays = records.parts(_Fits(self.by, self.fits, self.pooled))
        held, own = self.moments.packed()
        moments = {f"moments.{name}": array for name, array in own.items()}
        archive.write(path, self.KIND, {"fits": values, "moments": held}, arrays | moments)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; for exceptions see `FitResult.load`."""
        values, arrays = archive.load(path, cls.KIND)
        try:
            own = {name.removeprefix("moments."): a for name, a in arrays.items() if name.startswith("moments.")}
            rest = {name: a for name, a in arrays.items() if not name.startswith("moments.")}
            made: Any = records.made(_Fits, values["fits"], rest)
            for fit in (made.pooled, *made.fits.values()):
                sense.of_fit(fit)
            state = unpacked(values["moments"], own)
            if not isinstance(state, Grouped) or set(state.groups) != set(made.fits):
                raise ValueError("its moments are not those of its groups")
        except Exception as error:  # whatever an edited file leads to
            raise CorruptError(f"{path}: damaged, or edited: no {cls.KIND} ({error}); make it again") from error
        return cls(made.by, made.fits, made.pooled, state)

    def brief(self, levels: int = 20) -> dict[str, Any]:
        """Return what `to_dict` does, in short, and of so many groups: the first ones."""
        first = {
            str(key): {name: archive.plain(getattr(fit, name)) for name in _SHORT}
            for key, fit in list(self.fits.items())[:levels]
        }
        try:
            chow = self.chow().to_dict()
        except UsageError:
            chow = None
        return {
            "by": self.by,
            "levels": len(self),
            "statuses": self.statuses,
            "fewer_rows_than_coefficients": {str(k): n for k, n in list(self.short.items())[:levels]},
            "rsquared": archive.plain(self.rsquared),
            "sigma": archive.plain(self.sigma),
            "chow": chow,
            "pooled": self.pooled.to_dict(),
            "first_levels": first,
        }


_SHORT = ("n", "status", "rsquared", "intercept", "intercept_std_error", "coef", "std_errors")


@dataclass(frozen=True, eq=False, slots=True)
class _Fits:
    """What a file holds beside the moments."""

    by: str
    fits: dict[Any, FitResult]
    pooled: FitResult


def _pair(value: float, error: float) -> str:
    return f"{value:.5g} ({error:.2g})"
