"""Every statistic of a scan, in one list: each meets every law of test_statistics.py."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

import streamreg as sr
from streamreg.design.design import Design
from streamreg.families.classes import Multinomial
from streamreg.line import Line
from streamreg.models.robust_rows import scores_of as _scores
from streamreg.results.slopes import Question, Slopes
from streamreg.solve import cholesky, exact
from streamreg.sources import Source
from streamreg.stats.base import Statistic
from streamreg.stats.class_sums import ClassOpening, ClassSums
from streamreg.stats.deviances import Deviances
from streamreg.stats.grouped import Block, Column, Grouped, Hash
from streamreg.stats.integer_moments import IntegerMoments
from streamreg.stats.learning import AsStored
from streamreg.stats.levels.moments import AbsorbedMoments
from streamreg.stats.levels.within import Lookup, Within, WithinLevels
from streamreg.stats.losses import Losses, Scored
from streamreg.stats.margins import Margins
from streamreg.stats.moments import Moments
from streamreg.stats.opening import OpeningMoments
from streamreg.stats.parameter import JointStep, ParameterSums
from streamreg.stats.residuals import Residuals
from streamreg.stats.sandwich.clusters import Clusters
from streamreg.stats.sandwich.group_sums import Store
from streamreg.stats.sandwich.meat import Lagged, Meat
from streamreg.stats.several import ALL as WHOLE
from streamreg.stats.several import Several, Share
from streamreg.stats.working import WorkingMoments

ROWS, COLUMNS = 9000, 5
NAMES = ("a", "b", "c", "d", "e")


@cache
def rows(count: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Return features, the second and the last of them whole numbers (the last below 40), and a target."""
    random = np.random.default_rng(5)
    x = random.normal(size=(count, COLUMNS)) * [1.0, 1e3, 1e-3, 1.0, 5.0] + [0.0, 1e4, 0.0, 3.0, 0.0]
    x[:, 1], x[:, 4] = np.rint(x[:, 1]), random.integers(0, 40, count)
    return x, x @ np.arange(1.0, 6.0) + random.normal(size=count)


def source(labels: bool = False, count: int = ROWS) -> Source:
    """Return these rows; or with zeros and ones as the target."""
    x, y = rows(count)
    return sr.open((x, (y > np.median(y)) * 1.0 if labels else y), columns=NAMES)


def design(keys: tuple[str, ...] = (), labels: bool = False) -> Design:
    """Return the design of all columns but the keys."""
    features = tuple(name for name in NAMES if name not in keys)
    return Design.of(source(labels), features, keys=keys).with_target()


@cache
def _fit() -> Any:
    return sr.Linear(features=NAMES[:4]).fit(source())


def _residuals() -> Residuals:
    problem = sr.scan(source()).problem("y", NAMES, True)
    return Residuals.of(problem, cholesky.solve(problem))


def _within() -> WithinLevels:
    scores = _scores(_fit())
    scores = replace(scores, line=Line(np.zeros(4), scores.line.coef, 0.0), offset=np.zeros(4))
    effects = np.random.default_rng(1).normal(size=(40, 5))
    within = Within(np.append(_fit().centre, 0.0), (Lookup.of("e", np.arange(40), effects),))
    return WithinLevels(Meat(scores), within, (0,))


def _predictor() -> Line:
    return Line(rows()[0].mean(axis=0), np.array([0.1, 1e-4, 2.0, 0.0, 0.01]), 0.2)


def classes() -> Design:
    """Return the design of four columns and the fifth as the class."""
    return replace(design(("e",)), target=None)


def _class_sums() -> Statistic:
    at = np.linspace(-0.5, 0.5, 39 * 3)
    likelihood = Multinomial(40, 3, 0, True)
    columns = (rows()[0][:, :4].mean(axis=0), 1 / rows()[0][:, :4].std(axis=0), np.array([0, 2]), True)
    return ClassSums(likelihood, at, np.arange(40), *columns, at / 2)


def _state(statistic: Statistic) -> dict[str, Any]:
    return statistic.to_arrays()


def _exact(statistic: Any) -> dict[str, Any]:
    """Return what integers come to: they may stand on different grids."""
    groups = statistic.groups if isinstance(statistic, Grouped) else {0: statistic}
    problems = {key: state.problem(state.names[-1], None, True) for key, state in groups.items()}
    return {f"coef {key}": exact.solve(problem).coef for key, problem in problems.items()}


def _sums(statistic: Any) -> dict[str, Any]:
    """Return the sums of scores, and remove the files that they lay in."""
    found, rss = statistic.result()
    parts = found if isinstance(found, list) else [(found, 0)]
    return {"rss": np.array(rss)} | {f"sum {k}": part for k, (part, _) in enumerate(parts)}


def _line(x: np.ndarray, slope: float = 0.5) -> np.ndarray:
    return slope * (x[:, 0] - x[:, 3])


@dataclass(frozen=True)
class Case:
    """A statistic, the rows that it takes, and the numbers that it must come to."""

    make: Callable[[], Statistic]
    design: Callable[[], Design]
    labels: bool = False
    numbers: Callable[[Any], dict[str, Any]] = _state
    any_cut: bool = True  # whether the bits are the same however the rows are cut

    def source(self, count: int = ROWS) -> Source:
        """Return the rows."""
        return source(self.labels, count)


SMALL = Store(200)
"""A place for files that takes all sums beyond 200 bytes; removed at the end of the tests."""

ALL = (*NAMES, "y")
STATISTICS: dict[str, Case] = {
    "moments": Case(lambda: Moments(ALL), design),
    "integer moments": Case(lambda: IntegerMoments(ALL), design, numbers=_exact),
    "folds": Case(lambda: Grouped(Moments(ALL), Hash(7, 1)), design),
    "blocks": Case(lambda: Grouped(Moments(ALL), Block(1000)), design),
    "groups": Case(lambda: Grouped(Moments((*NAMES[:4], "y")), Column("e")), lambda: design(("e",))),
    "exact groups": Case(
        lambda: Grouped(IntegerMoments((*NAMES[:4], "y")), Column("e")), lambda: design(("e",)), numbers=_exact
    ),
    "absorbed": Case(
        lambda: AbsorbedMoments(("a", "c", "d", "y"), ("e", "b")),
        lambda: design(("e", "b")),
    ),
    "within levels": Case(
        _within, lambda: design(("e",)), numbers=lambda state: _sums(state.inner) | state.to_arrays()
    ),
    "residuals": Case(_residuals, design),
    "working moments": Case(
        lambda: WorkingMoments(ALL, "binomial", _predictor(), 0.5), lambda: design(labels=True), labels=True
    ),
    "opening moments": Case(
        lambda: OpeningMoments.of(ALL, "binomial", working=False), lambda: design(labels=True), labels=True
    ),
    "working response": Case(
        lambda: OpeningMoments.of(ALL, "binomial", working=True), lambda: design(labels=True), labels=True
    ),
    "deviances": Case(
        lambda: Deviances(
            ALL, "binomial", Line(_predictor().centre, np.outer([1, -0.5], _predictor().coef), np.ones(2))
        ),
        lambda: design(labels=True),
        labels=True,
    ),
    "several": Case(
        lambda: Several(
            [Moments(ALL), WorkingMoments(ALL, "binomial", _predictor(), 0.5)], [WHOLE, Share(Hash(3), 1, without=True)]
        ),
        lambda: design(labels=True),
        labels=True,
    ),
    "class opening": Case(lambda: ClassOpening(NAMES), lambda: classes()),
    "class sums": Case(_class_sums, lambda: classes()),
    "joint step": Case(
        lambda: JointStep(
            WorkingMoments(ALL, "negative_binomial(0.7)", _predictor(), 0.5),
            ParameterSums(ALL, "negative_binomial(0.7)", _predictor(), 1.0, True, False),
        ),
        lambda: design(labels=True),
        labels=True,
    ),
    "parameter": Case(
        lambda: ParameterSums(ALL, "tweedie(1.4)", _predictor(), 2.0, False, True),
        lambda: design(labels=True),
        labels=True,
    ),
    "losses": Case(
        lambda: Losses(
            [Scored("one", (0, 1, 2, 3, 4), _line), Scored("other", (3, 0, 1, 2), _line)], "binomial", 0, "y"
        ),
        lambda: design(labels=True),
        labels=True,
    ),
    "marginal effects": Case(
        lambda: Margins(Slopes(_fit(), (Question("a", "dY/dX"),), label="rows"), (), None, "rows", True),
        lambda: AsStored("rows", NAMES[:4]),
    ),
    "HC0": Case(lambda: Meat(_scores(_fit())), lambda: design(("e",)), numbers=_sums),
    "HC3": Case(lambda: Meat(_scores(_fit()), 3), lambda: design(("e",)), numbers=_sums),
    "Newey-West": Case(lambda: Lagged(_scores(_fit()), 4), lambda: design(("e",)), numbers=_sums),
    "clusters": Case(
        lambda: Clusters(_scores(_fit()), ((0,),), Store(2**28)), lambda: design(("e",)), numbers=_sums, any_cut=False
    ),
    "spilled clusters": Case(
        lambda: Clusters(_scores(_fit()), ((0,),), SMALL), lambda: design(("e",)), numbers=_sums, any_cut=False
    ),
}
