"""Out-of-core streaming regression: scan a large table once, get coefficients with the number of digits to believe.

>>> import streamreg as sr
>>> data = sr.open("million.h5", target="y")      # nothing is read yet
>>> fit = sr.Linear().fit(data)                   # one pass, constant memory
>>> print(fit.summary())
"""

import gc
from importlib import import_module

from streamreg._version import __version__
from streamreg.models.registry import public

TYPE_CHECKING = False  # type checkers take it for true; typing's own would cost more time than all else here


_HOME = {
    "ClassFit": "streamreg.results.classes",
    "Anova": "streamreg.results.anova",
    "Comparison": "streamreg.comparison",
    "DataError": "streamreg.errors",
    "FitResult": "streamreg.results.base",
    "InstrumentFit": "streamreg.results.instruments",
    "MarginalEffects": "streamreg.results.marginal",
    "LikelihoodPath": "streamreg.results.likelihood_path",
    "Moments": "streamreg.stats.moments",
    "NetworkResult": "streamreg.neural.result",
    "PenaltyPath": "streamreg.results.selection",
    "RestrictionTest": "streamreg.results.restricted",
    "Selection": "streamreg.results.selection",
    "StreamregError": "streamreg.errors",
    "UsageError": "streamreg.errors",
    "anova": "streamreg.results.nested",
    "append": "streamreg.scans.merge",
    "bootstrap": "streamreg.models.resampling",
    "coefficients": "streamreg.comparison.imported",
    "compare": "streamreg.comparison",
    "compare_all": "streamreg.comparison",
    "convert": "streamreg.tools.convert",
    "effects": "streamreg.models.effects",
    "fit_by": "streamreg.models.by_group",
    "fit_targets": "streamreg.models.targets",
    "folds": "streamreg.scans.scan",
    "generate": "streamreg.tools.generate",
    "jackknife": "streamreg.models.resampling",
    "load": "streamreg.persist.kinds",
    "merge": "streamreg.scans.merge",
    "open": "streamreg.sources",
    "profile_intervals": "streamreg.models.profile_intervals",
    "ProfileIntervals": "streamreg.results.profiled",
    "profile": "streamreg.scans.profile",
    "robust": "streamreg.models.robust",
    "run_job": "streamreg.jobs",
    "scan": "streamreg.scans.scan",
    "score": "streamreg.scoring",
    "split": "streamreg.scoring.holdout",
    "table": "streamreg.results.side_by_side",
    "wald_test": "streamreg.results.wald",
    **public(),
}

if TYPE_CHECKING:
    from streamreg.comparison import Comparison as Comparison
    from streamreg.comparison import compare as compare
    from streamreg.comparison import compare_all as compare_all
    from streamreg.comparison.imported import coefficients as coefficients
    from streamreg.errors import DataError as DataError
    from streamreg.errors import StreamregError as StreamregError
    from streamreg.errors import UsageError as UsageError
    from streamreg.jobs import run_job as run_job
    from streamreg.models.by_group import fit_by as fit_by
    from streamreg.models.by_group_spec import ByGroup as ByGroup
    from streamreg.models.classes import Multinomial as Multinomial
    from streamreg.models.classes import Ordered as Ordered
    from streamreg.models.constrained import Constrained as Constrained
    from streamreg.models.effects import effects as effects
    from streamreg.models.glm import Glm as Glm
    from streamreg.models.glm import Logistic as Logistic
    from streamreg.models.instruments import IV as IV
    from streamreg.models.linear import Linear as Linear
    from streamreg.models.penalised import Penalised as Penalised
    from streamreg.models.profile_intervals import profile_intervals as profile_intervals
    from streamreg.models.resampling import bootstrap as bootstrap
    from streamreg.models.resampling import jackknife as jackknife
    from streamreg.models.robust import robust as robust
    from streamreg.models.selected import Selected as Selected
    from streamreg.models.subsets import Subsets as Subsets
    from streamreg.models.targets import fit_targets as fit_targets
    from streamreg.neural.model import Keras as Keras
    from streamreg.neural.result import NetworkResult as NetworkResult
    from streamreg.persist.kinds import load as load
    from streamreg.results.anova import Anova as Anova
    from streamreg.results.base import FitResult as FitResult
    from streamreg.results.classes import ClassFit as ClassFit
    from streamreg.results.instruments import InstrumentFit as InstrumentFit
    from streamreg.results.likelihood_path import LikelihoodPath as LikelihoodPath
    from streamreg.results.marginal import MarginalEffects as MarginalEffects
    from streamreg.results.nested import anova as anova
    from streamreg.results.profiled import ProfileIntervals as ProfileIntervals
    from streamreg.results.restricted import RestrictionTest as RestrictionTest
    from streamreg.results.selection import PenaltyPath as PenaltyPath
    from streamreg.results.selection import Selection as Selection
    from streamreg.results.side_by_side import table as table
    from streamreg.results.wald import wald_test as wald_test
    from streamreg.scans.merge import append as append
    from streamreg.scans.merge import merge as merge
    from streamreg.scans.profile import profile as profile
    from streamreg.scans.scan import folds as folds
    from streamreg.scans.scan import scan as scan
    from streamreg.scoring import score as score
    from streamreg.scoring.holdout import split as split
    from streamreg.sources import open as open
    from streamreg.stats.moments import Moments as Moments
    from streamreg.tools.convert import convert as convert
    from streamreg.tools.generate import generate as generate

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `import streamreg` itself loads nothing heavy."""
    if name not in _HOME:
        raise AttributeError(f"module 'streamreg' has no attribute {name!r}")
    collecting = gc.isenabled()
    gc.disable()  # looking for garbage among what imports make, which stays, takes a tenth of their time
    try:
        return getattr(import_module(_HOME[name]), name)
    finally:
        if collecting:
            gc.enable()


def __dir__() -> list[str]:
    return sorted(__all__)
