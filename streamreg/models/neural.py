"""Mini-batch training with Keras, as a model like any other."""

import time
from typing import Any, Literal

from pydantic import Field

from streamreg.design import Missing
from streamreg.errors import UsageError
from streamreg.models.base import Spec, as_source
from streamreg.models.linear import Linear
from streamreg.result import FitResult
from streamreg.scans import scan
from streamreg.stats.moments import Moments


class Keras(Spec):
    """A line trained by Keras: mini-batches, then full-batch steps.

    Parameters
    ----------
    conditioning : {"whiten", "standardise", "none"}
        What is done to the features before training, from the moments of one scan, in float64. Estimates are returned
        in the units of the data whatever is chosen.
    epochs : int
        At most so many passes over the rows, the scan not counted. Training stops by itself before that.
    tolerance : float
        Largest distance to the least-squares solution, in standard errors, at which training stops.
    optimizer : str
        Of the mini-batch passes.
    learning_rate : float, optional
        Default: from the curvature of the loss.
    batch_size : int, optional
        Default: 4096, or less for few rows.
    precision : {"float32", "float64"}
        What training computes in.
    intercept : bool
        Whether the line may have a constant; without one, features are whitened about zero.
    seed : int
        Of the order of rows.
    memory_mb : int
        For the window that rows are shuffled in, and to keep rows between passes if they fit.
    features, target, missing
        As for `Linear`.
    """

    conditioning: Literal["whiten", "standardise", "none"] = "whiten"
    epochs: int = Field(default=10, ge=1)
    tolerance: float = Field(default=1e-3, gt=0.0, allow_inf_nan=False)
    optimizer: Literal["sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad"] = "sgd"
    learning_rate: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    batch_size: int | None = Field(default=None, ge=1)
    precision: Literal["float32", "float64"] = "float32"
    intercept: bool = True
    seed: int = Field(default=0, ge=0)
    memory_mb: int = Field(default=128, ge=1)
    features: tuple[str, ...] | None = None
    target: str | None = None
    missing: Missing = "error"

    def fit(
        self,
        data: Any,
        *,
        moments: Moments | None = None,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> FitResult:
        """Train.

        Parameters
        ----------
        data : Source, or anything that `streamreg.open` takes
            It is read several times.
        moments : Moments, optional
            Of an earlier `scan` of the same rows, which saves a pass.
        threads : int, optional
            Workers that read and condition rows; their number does not change the result.
        progress : bool, optional
            Show a progress bar with loss and distance; default: on a terminal.

        Raises
        ------
        MissingExtra
            TensorFlow is not installed.
        OnePassError
            The rows can be read only once.
        DataError, UsageError
            As for `Linear`.
        """
        from streamreg.neural.line import Line

        began = time.perf_counter()
        if isinstance(data, Moments):
            raise UsageError("Keras trains on rows, and moments hold none; pass the source, and moments=... beside it")
        source = as_source(data).with_roles(target=self.target, features=self.features)
        passes = int(moments is None)
        if moments is None:
            moments = scan(source, None, self.missing, threads, progress)
        target = source.roles.target or ""
        exact = Linear(intercept=self.intercept, features=source.roles.features, target=target).fit(moments)
        problem = moments.problem(target, exact.names, self.intercept)
        return Line(self, source, problem, exact, threads).run(passes, began, progress)
