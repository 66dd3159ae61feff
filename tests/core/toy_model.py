"""A model of somebody else's: one file, and one line in the registry."""

import dataclasses
from typing import Any

from pydantic import Field

import streamreg as sr
from streamreg.models.base import Model
from streamreg.models.needs import Needs

LINE = {"toy": "toy_model:ToyModel"}


class ToyModel(Model):
    """Slopes that are shrunk by a factor.

    Parameters
    ----------
    factor : float
        What the slopes are multiplied by.
    only : tuple of str
        Columns whose slopes are shrunk; default: all.
    features, target, missing
        As for `Linear`.
    """

    factor: float = Field(default=0.5, gt=0)
    only: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    target: str | None = None
    missing: str = "error"

    def needs(self) -> Needs:
        return Needs(features=self.features, target=self.target, missing=self.missing, moments=True)

    def fit(
        self, data: Any, *, threads: int | None = None, progress: bool | None = None, engine: Any = None
    ) -> sr.FitResult:
        options: dict[str, Any] = {"features": self.features, "target": self.target, "missing": self.missing}
        fit = sr.Linear(precision="float64", **options).fit(data, threads=threads, progress=progress)
        factors = [self.factor if name in (self.only or fit.names) else 1.0 for name in fit.names]
        return dataclasses.replace(fit, coef=fit.coef * factors, model=self.to_dict())
