"""Why a number is not given."""

from typing import Any

import numpy as np

from streamreg.families import family


def no_f(fit: Any) -> str:
    """Return why there is no F test of all slopes of `Estimates` together; empty if there is one."""
    if not family(fit.family).least_squares:
        return "the F test of all slopes is for least squares; compare deviances instead"
    if fit.no_likelihood:
        return "F is withheld as the likelihood is"
    if (
        fit.rank
        and fit.df_resid > 0
        and np.isnan(fit.std_errors[fit.identifiable]).all()
        and (fit.identifiable.any() or fit.model.get("kind") != "linear")
    ):
        if "loss_name" in fit.training:
            return "F is that of a least-squares fit, and this line was trained"
        return "F and standard errors are withheld: they hold for columns chosen beforehand, without a penalty"
    if fit.sandwich is None or fit.geometry is None:
        return ""
    if fit.constant:
        return "F is not given: the columns hold a constant, and which of them to leave out is not known"
    if fit.sandwich.rank < len(fit.geometry.kept):
        return (
            f"F of {fit.rank} slopes is not defined: their {fit.errors} covariance has rank "
            f"{fit.sandwich.rank} ({fit.sandwich.reason}); test fewer with wald_test"
        )
    return ""
