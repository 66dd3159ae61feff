"""Ridge, lasso, elastic net and non-negative least squares, all penalties of a path from one scan."""

from dataclasses import replace
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from streamreg.families import family
from streamreg.models.candidates import Choice
from streamreg.models.descent import Opened
from streamreg.models.glm import Glm, known_family
from streamreg.models.needs import Needs
from streamreg.problem import Problem
from streamreg.results.selection import PenaltyPath
from streamreg.scans.run import Run
from streamreg.solve import path
from streamreg.solve.scaled import Scaled
from streamreg.solve.weighed import Weighed
from streamreg.stats.moments import Moments

Float = NDArray[np.float64]
Alpha = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Penalised(Choice[PenaltyPath]):
    """Penalised least squares along a path: lasso, elastic net, ridge; optionally with slopes that are not negative.

    Each line minimises ``rss / (2 W) + alpha (l1_ratio sum|b| + (1 - l1_ratio) / 2 sum b**2)``, where rss is weighted,
    W is the sum of weights (the number of rows without them), and the intercept is free. This is the convention of
    scikit-learn's ``Lasso`` and ``ElasticNet``; its ``Ridge(alpha)``, and ``sr.Linear(ridge=alpha)``, is ``alpha / W``
    here.

    Parameters
    ----------
    l1_ratio : float
        1: lasso. 0: ridge. Between: elastic net.
    alphas : int or tuple of float
        The penalties, or how many: evenly spaced in the logarithm from lambda_max, at which all slopes are zero, down
        to `eps` times it; for ridge, from 1 / `eps` to `eps` times the mean variance of the columns. 0
        stands for none: ``Penalised(nonnegative=True, alphas=(0,))`` is non-negative least squares.
    eps : float
        Ratio of the least penalty to lambda_max.
    standardise : bool
        Penalise the slopes of columns divided by their standard deviation (the root of the mean squared deviation, as
        scikit-learn's ``StandardScaler`` and glmnet compute it), instead of those in the units of the data. Slopes are
        returned in the units of the data either way.
    nonnegative : bool
        Only slopes of zero and above.
    family : str
        The distribution of the target, one of those of `sr.Glm`, with its parameter if it has one: "binomial",
        "poisson", "tweedie(1.5)". With another than "gaussian" the deviance takes the place of rss, which is the
        definition of glmnet and glum; so alpha is ``1 / (C W)`` of scikit-learn's LogisticRegression.
    link : str, optional
        What the linear predictor is of the mean, one of those of `sr.Glm`.
    offset, exposure : str, optional
        Columns that the linear predictor is moved by; the exposure by its logarithm, with the log link.
    trials : str, optional
        Column with the number of trials of each row, of which the target are those with success.
    max_iterations : int
        Steps at most for each penalty, in families whose rows are read once for each step. All penalties that are still
        under way share a pass.
    tolerance : float
        Of these families: distance to the minimum at which to stop, in standard errors of the fit without a penalty.
    intercept, features, target, missing, weight_kind
        As in `sr.Linear`.

    Notes
    -----
    Where columns are dependent, or there are fewer rows than columns, lasso paths are one of the minimisers: fitted
    values are unique, and slopes unless columns tie exactly. Constant columns get slope 0. Solved exactly on the active
    set, hence no tolerance: see `streamreg.solve.path`. Other families take proximal Newton steps, each solved so, from
    a start that a sample of the rows gives where there are many. Where so many penalties and columns are under way that
    their sums take more than some 256 MiB, a step takes several passes. `passes` counts them.
    """

    l1_ratio: float = Field(default=1.0, ge=0.0, le=1.0)
    alphas: Annotated[int, Field(ge=1, le=100_000)] | tuple[Alpha, ...] = 100
    eps: float = Field(default=1e-3, gt=0.0, lt=1.0)
    standardise: bool = False
    nonnegative: bool = False

    family: Annotated[str, AfterValidator(known_family)] = "gaussian"
    link: str | None = None
    offset: str | None = None
    exposure: str | None = None
    trials: str | None = None
    max_iterations: int = Field(default=100, ge=1)
    tolerance: float = Field(default=1e-8, gt=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _of_a_family(self) -> Self:
        if unknown := Glm(family=self.family, link=self.link, **self.beside).unknown:  # refuses what does not fit
            raise ValueError(f"{unknown} is not estimated under a penalty; give it, as in family='{self.family}(1.5)'")
        return self

    @property
    def spelling(self) -> str:
        """The family with its parameter and link, as `streamreg.families.family` takes it."""
        return Glm(family=self.family, link=self.link, **self.beside).spelling

    @property
    def beside(self) -> dict[str, str]:
        """Columns that stand beside the features, by role."""
        named = {role: getattr(self, role) for role in ("offset", "exposure", "trials")}
        return {role: column for role, column in named.items() if column is not None}

    @property
    def reads_rows(self) -> bool:
        """Whether the family has a likelihood of its own, which moments do not tell."""
        return not family(self.spelling).least_squares

    def needs(self) -> Needs:
        """Return what a fit takes: one pass for the moments, or in other families one for each step."""
        needs = super().needs()
        if not self.reads_rows:
            return needs
        return replace(needs, moments=False, beside=self.beside, passes=self.max_iterations + 2, at_most=True)

    @property
    def penalty(self) -> path.Penalty:
        """The penalties, but for alpha."""
        return path.Penalty(self.l1_ratio, self.standardise, self.nonnegative)

    def grid(self, opened: Opened) -> Float:
        """Return the alphas of a likelihood's path, falling."""
        if not isinstance(self.alphas, int):
            return np.unique(np.array(self.alphas, dtype=np.float64))[::-1].copy()
        own = Weighed.of(self.penalty, opened.spread, opened.share, opened.square)
        return own.grid(opened.scaled, self.alphas, self.eps)

    def _from_rows(self, data: Any, run: Run, folds: int = 0, seed: int = 0) -> PenaltyPath:
        from streamreg.models import likelihood_path

        return likelihood_path.fit(self, data, run, folds, seed)

    def _fit(self, problem: Problem, moments: Moments) -> PenaltyPath:
        scaled = Scaled.of(problem)
        if isinstance(self.alphas, int):
            alphas = self.penalty.grid(scaled, self.alphas, self.eps)
        else:
            alphas = np.unique(np.array(self.alphas, dtype=np.float64))[::-1].copy()
        coef, df, settled = path.solve(scaled, self.penalty, alphas)
        digits = [self.penalty.digits(scaled, slopes, alpha) for slopes, alpha in zip(coef, alphas, strict=True)]
        common = self._common(scaled, moments, coef, df, digits)
        if not settled.all():
            common["status"] = (
                f"rounding kept alpha {alphas[~settled][0]:.6g} from settling; its slopes are approximate"
            )
        return PenaltyPath(**common, alphas=alphas, lambda_max=self.penalty.greatest(scaled))

    def _again(self, problem: Problem, found: PenaltyPath) -> Float:
        return path.solve(Scaled.of(problem), self.penalty, found.alphas)[0]
