"""One fit for each group of rows, all from one pass, and whether the groups share a line."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg import stored, tables
from streamreg.distributions import f_tail
from streamreg.errors import DataError, UsageError
from streamreg.models.base import as_state
from streamreg.models.linear import Linear
from streamreg.result import FitResult
from streamreg.scans import scan
from streamreg.stats.base import SUFFIX
from streamreg.stats.grouped import MEMORY, Grouped
from streamreg.stats.saved import load

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChowTest:
    """Outcome of `GroupFits.chow`.

    Attributes
    ----------
    fvalue : float
    df_num, df_denom : float
    pvalue : float
    rss_pooled : float
        Residual sum of squares of one line for all groups.
    rss_groups : float
        The sum of those of the groups' own lines.
    """

    fvalue: float
    df_num: float
    df_denom: float
    pvalue: float
    rss_pooled: float
    rss_groups: float

    def __str__(self) -> str:
        return f"F = {self.fvalue:.6g} on {self.df_num:.10g} and {self.df_denom:.10g} df, p = {self.pvalue:.4g}"

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python values, for JSON."""
        return {name: stored.plain(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True)
class GroupFits(Mapping[int, FitResult]):
    """A fit for each group, by its number.

    Attributes
    ----------
    by : str
        The column, or other rule, that made the groups.
    fits : dict of int to FitResult
    pooled : FitResult
        One line for all groups.
    """

    by: str
    fits: dict[int, FitResult]
    pooled: FitResult

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

    def chow(self) -> ChowTest:
        """Test whether all groups share one line, errors being of equal variance (Chow 1960, *Econometrica* 28).

        ``F = ((RSS - sum RSS_g) / (sum k_g - k)) / (sum RSS_g / (n - sum k_g))`` with k the parameters that the rows
        determine; a group with fewer rows than parameters thus enters as in Chow's test of prediction.

        Raises
        ------
        UsageError
            Fewer than two groups, no degrees of freedom, or ridge estimates.
        """
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
        return ChowTest(f, df_num, df_denom, float(f_tail(f, df_num, df_denom)), pooled.rss, rss)

    def summary(self, rows: int | None = 20, columns: int = 6) -> str:
        """Return a table with a line for each group: its rows, its fit, its first slopes with their errors."""
        names = self.pooled.names[:columns]
        header = [self.by, "rows", "R2", *(["intercept"] if self.pooled.has_intercept else []), *names]
        lines = [self._line(str(key), fit, len(names)) for key, fit in list(self.fits.items())[:rows]]
        lines.append(self._line("all", self.pooled, len(names)))
        notes = [f"... and {len(self) - rows} more groups"] if rows is not None and len(self) > rows else []
        if len(names) < len(self.pooled.names):
            notes.append(f"... and {len(self.pooled.names) - len(names)} more columns")
        try:
            notes.append(f"One line for all groups? Chow test: {self.chow()}")
        except UsageError as error:
            notes.append(f"No Chow test: {error}")
        facts = [("target", self.pooled.target), ("groups", f"{len(self):,}")]
        return tables.render(f"fits of {self.pooled.source} by {self.by}", facts, header, lines, notes)

    def __str__(self) -> str:
        return self.summary()

    @staticmethod
    def _line(label: str, fit: FitResult, columns: int) -> list[str]:
        pairs = [*zip(fit.coef[:columns], fit.std_errors[:columns], strict=True)]
        if fit.has_intercept:
            pairs.insert(0, (np.float64(fit.intercept), np.float64(fit.intercept_std_error)))
        return [label, f"{fit.n:,}", f"{fit.rsquared:.4g}", *(f"{b:.5g} ({s:.2g})" for b, s in pairs)]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python values, for JSON."""
        fits = {str(key): fit.to_dict() for key, fit in self.fits.items()}
        return {"by": self.by, "fits": fits, "pooled": self.pooled.to_dict()}


def fit_by(
    model: Linear,
    data: Any,
    by: str | None = None,
    *,
    memory: int = MEMORY,
    threads: int | None = None,
    progress: bool | None = None,
) -> GroupFits:
    """Fit a line for each level of a column, in one pass over the rows, or from moments kept by level.

    Parameters
    ----------
    model : Linear
        Precision "auto" is "float64" here; "exact" is exact.
    data : Source, Grouped or the path of its file, or anything that `streamreg.open` takes
    by : str, optional
        A column of whole numbers or bool; not needed where `data` is kept by level already.
    memory : int
        Bytes that the moments of all levels may take up, about ``4 q**2 log2(blocks)`` for each level of q columns.
    threads : int, optional
    progress : bool, optional

    Raises
    ------
    DataError
        The rows are missing, damaged or not finite; or a level cannot be fitted as asked, and the message says which.
    UsageError
        The levels do not fit in `memory`, no column is named, or the model asks for errors that need the rows.

    Notes
    -----
    Cost: one pass; then a fit for each level.
    """
    if model.errors != "classical":
        raise UsageError("fits by group are made from moments, which have classical errors only; leave errors out")
    if isinstance(data, str | os.PathLike) and str(data).endswith(SUFFIX):
        data = load(data)
    passes, features = 0, model.features
    if isinstance(data, Grouped):
        if by is not None and str(data.by) != f"column {by}":
            raise UsageError(f"these moments are kept apart by {data.by}, not by column {by}; scan with by={by!r}")
        if model.powers:
            raise UsageError("powers are made from rows; scan with powers, and name them as features ('x^2')")
    elif as_state(data) is not None:
        raise UsageError("these moments were not kept apart; scan with by=")
    elif by is None:
        raise UsageError("say which column names the groups, as in by='country'")
    else:
        exact = "exact" if model.precision == "exact" else "float64"
        options: dict[str, Any] = {"target": model.target, "by": by, "precision": exact, "memory": memory}
        options["device"] = model.device
        data = scan(data, features, model.missing, threads, progress, model.powers, **options)
        passes, features = 1, None
    plain = model.model_copy(update={"powers": {}, "features": features})
    label = data.record.parts[0].label if data.record is not None else "moments"
    found = {}
    for key in sorted(data.groups):
        try:
            found[key] = _fit(plain, model, data.groups[key], f"{label}, {by or data.by} {key}", passes)
        except DataError as error:
            raise DataError(f"{by or data.by} = {key}: {error}") from error
    return GroupFits(by or str(data.by), found, _fit(plain, model, data.merged(), label, passes))


def _fit(plain: Linear, model: Linear, state: Any, label: str, passes: int) -> FitResult:
    fit = plain.fit(state)
    return dataclasses.replace(fit, source=label, passes=passes, model=model.to_dict())
