"""Every kind of saved file and who reads it: one line each. Nothing is imported until a file of the kind is read.

As in the list of the models, readers are given by name, as they lie in rooms above this one.
"""

import os
import zipfile
from importlib import import_module
from typing import Any

from streamreg.errors import CorruptError, UsageError
from streamreg.persist import archive

KINDS = {
    "scan": "streamreg.scans.moments_file:load",
    "seal": "streamreg.scans.seal:Seal.load",
    "profile": "streamreg.scans.profile:TableProfile.load",
    "check of rows": "streamreg.scans.verified:Verified.load",
    "fit": "streamreg.results.base:FitResult.load",
    "fit of classes": "streamreg.results.classes:ClassFit.load",
    "fit of instruments": "streamreg.results.instruments:InstrumentFit.load",
    "effects": "streamreg.results.absorbed:Effects.load",
    "conditioning": "streamreg.solve.conditioning:Conditioning.load",
    "penalty path": "streamreg.results.selection:PenaltyPath.load",
    "penalty path of a likelihood": "streamreg.results.likelihood_path:LikelihoodPath.load",
    "subsets": "streamreg.results.selection:Selection.load",
    "fits by group": "streamreg.results.by_group:GroupFits.load",
    "Chow test": "streamreg.results.chow:ChowTest.load",
    "test of restrictions": "streamreg.results.restricted:RestrictionTest.load",
    "resampling": "streamreg.results.resampled:Resampled.load",
    "comparison": "streamreg.comparison.outcome:Comparison.load",
    "comparisons": "streamreg.comparison.outcome:Comparisons.load",
    "analysis of variance": "streamreg.results.anova:Anova.load",
    "profile likelihood intervals": "streamreg.results.profiled:ProfileIntervals.load",
    "marginal effects": "streamreg.results.marginal:MarginalEffects.load",
    "scores": "streamreg.scoring.scorecard:Scorecard.load",
    "network": "streamreg.neural.result:NetworkResult.load",
}
"""Functions that take a path, by what the file says that it holds."""

CHECKPOINTS = ("pass over rows", "moments of a training", "state of a training")
"""Kinds that runs read, and nobody else."""

NETWORK = "streamreg.json"
"""The member of a .keras file that holds what Keras does not know of."""


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote: the moments of a scan, a fit, a network, a comparison, or any other result.

    Parameters
    ----------
    path : path
        The file says what it holds, whatever its name.

    Returns
    -------
    Moments, IntegerMoments, Grouped, FitResult, NetworkResult, ...
        An object equal to the one that was saved.

    Raises
    ------
    UsageError
        `path` is no path, or the file is a checkpoint.
    NotFound
        No such file.
    CorruptError
        The file is damaged, truncated, edited, not of streamreg, or written by a newer one.
    """
    file = archive.existing(path, "result or scan")
    kind = "network" if _is_network(file) else archive.kind_of(file)
    if kind in KINDS:
        module, _, name = KINDS[kind].partition(":")
        reader: Any = import_module(module)
        for part in name.split("."):
            reader = getattr(reader, part)
        return reader(file)
    if kind in CHECKPOINTS:
        raise UsageError(f"{path}: holds a checkpoint ({kind}); the run that it is of goes on from its folder")
    raise CorruptError(f"{path}: holds a saved {kind}, which this streamreg does not know; upgrade")


def _is_network(path: os.PathLike[str]) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return NETWORK in file.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
