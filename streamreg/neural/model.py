"""Mini-batch training with Keras, as a model like any other."""

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from streamreg.design.design import Design
from streamreg.errors import UsageError, typed
from streamreg.kernels.rowhash import Sample
from streamreg.models.base import as_source, together
from streamreg.models.estimator import with_formula
from streamreg.models.linear import Linear
from streamreg.neural.options import KerasOptions
from streamreg.results.base import FitResult
from streamreg.scans.run import Run
from streamreg.sources.base import Source
from streamreg.stats.moments import Moments

if TYPE_CHECKING:
    from streamreg.neural.result import NetworkResult


class Keras(KerasOptions):
    """A line or a network trained by Keras on rows that stream past.

    A line (`hidden` empty) is trained in mini-batches and then by full-batch steps, until its coefficients are those
    that minimise the loss; they are returned in the units of the data. A network is trained in mini-batches.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer; none makes a line.
    activation : str
        Of the hidden layers, by Keras's name.
    model : keras.Model or callable, optional
        A network of your own instead, or a function that takes the number of features and returns one. It maps
        conditioned features (m, p) to one output (m, 1): for squared error and Huber the conditioned target, for
        cross-entropy a logit or, if its last layer is a sigmoid, a probability; for counts and amounts the logarithm
        of the mean or, by an exponential, the mean. Another activation at the end is refused.
    loss : {"squared_error", "binary_cross_entropy", "poisson", "huber", "gamma", "inverse_gaussian", "tweedie", \
        "negative_binomial"}
        Of counts and amounts half the deviance, with the logarithm for the link, as `Glm` has it.
    power, alpha : float, optional
        Of the Tweedie and the negative binomial loss, which need it. It is not trained: `Glm` estimates it.
    delta : float
        Where the Huber loss turns from square to linear, in the units of the target.
    optimizer : str, optional
        Of the mini-batches; default: sgd for a line, adam for a network.
    learning_rate : float, optional
        Default: for sgd from the curvature of the loss, for others 0.02 (a line) or 0.001 (a network).
    batch_size : int, optional
        Default: up to 4096 for a line and 1024 for a network, less for few rows.
    epochs : int
        At most so many passes over the rows, the scan not counted. Training stops by itself before that.
    tolerance : float
        A line: distance to the minimum, in standard errors, at which training stops.
    intercept : bool
        Whether a line may have a constant; without one, features are whitened about zero.
    conditioning : {"whiten", "standardise", "none"}
        What is done to the features before training, in float64, from the means and cross-products (moments) of one
        scan: "whiten" makes them uncorrelated, with variance one; "standardise" gives them variance one.
    precision : {"float32", "float64"}
        What training computes in. A line on whitened features goes on in float64 once rounding holds it up.
    validation : float
        Share of rows held out, chosen by a hash of their number.
    patience : int, optional
        A network: stop after so many epochs without a better loss (on the rows held out, if there are any), and return
        the best weights.
    l1, l2 : float
        Penalties on the weights of conditioned features, as in Keras, added to the mean loss; l1 for networks only.
    start : {"zeros", "random"}, FitResult or path of a saved one, optional
        Where a line begins; default: zeros. Networks begin at random.
    device : {"cpu", "gpu", "gpu:1", ...}, optional
        Where to train; default: a graphics card if Keras's library sees one.
    seed : int
        Of the order of rows, of random weights, and of the validation rows.
    memory_mb : int, optional
        For the windows that rows are shuffled in, and to keep rows between passes if they fit. Default: 128, and rows
        of arrays in memory are kept unless that takes more than twice the memory of the arrays.
    features, target, missing
        As for `Linear`.
    """

    @typed
    @with_formula
    def fit(
        self,
        data: Any,
        y: Any = None,
        weight: Any = None,
        *,
        moments: Moments | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        checkpoint_seconds: float = 30.0,
        callbacks: Sequence[Any] = (),
        threads: int | None = None,
        progress: bool | None = None,
        engine: Any = None,
        on_fault: Literal["fail"] | None = None,
    ) -> "FitResult | NetworkResult":
        """Train.

        Parameters
        ----------
        data : Source, or anything that `streamreg.open` takes
            It is read several times.
        y, weight : array_like, shape (n,), optional
            Target and weights, where `data` is a matrix: ``fit(X, y)`` is ``fit((X, y))``.
        moments : Moments, optional
            Of an earlier `scan` of the same rows, which saves a pass.
        checkpoint : path, optional
            A folder to keep the state of the training in.
        resume : bool
            Go on from what that folder holds, at the very batch: on a CPU the result has the bits that an unbroken
            training would have given.
        checkpoint_seconds : float
            Least time between two saves; one is made after every pass anyway.
        callbacks : sequence of keras.callbacks.Callback
            TensorBoard, for one. They see the model that is trained on conditioned features.
        threads : int, optional
            Workers that read and condition rows; their number does not change the result.
        progress : bool, optional
            Show a progress bar with loss and distance; default: on a terminal.
        engine : {"threads", "serial"}, optional
            Who works on the rows of the scan. Training stays in this process.

        Returns
        -------
        FitResult
            Of a line; `training` holds the loss curve and the like.
        NetworkResult
            Of a network.

        Raises
        ------
        MissingExtra
            Keras, or a library for it to run on, is not installed.
        OnePassError
            The rows can be read only once.
        DataError
            The rows are missing, damaged or not finite, or the target is not what the loss is made for.
        UsageError
            Options that exclude each other, or a device that there is not.
        """
        from streamreg import backend
        from streamreg.neural import train
        from streamreg.neural.checkpoint import Checkpoint
        from streamreg.neural.task import Task

        data = together(data, y, weight)
        began, run = time.perf_counter(), Run.of(threads, engine, progress)
        if run.faults.skip:
            raise UsageError(
                "Keras reads the rows many times, and none of them may lack; leave out on_fault, or mend the file"
            )
        if not run.engine.in_process:
            raise UsageError(
                "Keras trains in this process; leave out engine, and let a cluster do the scan alone: "
                "moments=sr.scan(data, engine=...)"
            )
        backend.load()
        device = backend.device(self.device)
        self._check()
        if isinstance(data, Moments):
            raise UsageError("Keras trains on rows, and moments hold none; pass the source, and moments=... beside it")
        source = as_source(data, self.target).with_roles(features=self.features)
        design = Design.of(source, None, self.missing).with_target()
        if not design.features:
            raise UsageError(
                f"{source.label}: there is no feature to train on; sr.Linear needs none, and takes the mean"
            )
        if self.validation:
            sample = Sample(self.validation, self.seed, held_out=False, within=design.sample, use="validation")
            design = dataclasses.replace(design, sample=sample)
        data_id = f"{source.fingerprint()} {source.roles.sample or ''}".strip()
        identity = self.to_dict() | {"backend": backend.name()}
        state = Checkpoint(checkpoint, identity, data_id, resume, checkpoint_seconds)
        moments = state.moments() or moments
        passes = int(moments is None)
        if moments is None:
            moments = run.scan(source, design, Moments(design.names), "scan")
        state.keep_moments(moments)
        target = source.roles.target or ""
        exact = Linear(intercept=self.intercept, features=design.features, target=target).fit(moments)
        total = moments.total()
        column = moments.names.index(target)
        return train(
            Task(
                model=self,
                source=source,
                design=design,
                problem=moments.problem(target, design.features, self.intercept),
                low=float(total.low[column]),
                high=float(total.high[column]),
                exact=exact,
                checkpoint=state,
                callbacks=tuple(callbacks),
                device=device,
                start=self._start(exact),
                run=run,
                passes=passes,
                began=began,
            )
        )

    def fit_from(self, moments: Any, source: Source, **workers: Any) -> "FitResult | NetworkResult":
        """Train with the moments of a scan in place of one of its own."""
        found = self.fit(source, moments=moments, **workers)
        return dataclasses.replace(found, passes=found.passes + 1)

    def _check(self) -> None:
        if self.hidden and self.model is not None:
            raise UsageError("hidden and model both say what to build; give one of them")
        if self.is_line and self.l1:
            raise UsageError("l1 on a line needs no training: scan once and take the lasso path; here use l2")
        if self.is_line and self.patience is not None:
            raise UsageError("a line stops by its distance to the minimum; leave out patience, or set tolerance")
        if not self.is_line and self.start not in (None, "random"):
            raise UsageError("a network begins at random; start is for a line")
        if min(self.hidden, default=1) < 1:
            raise UsageError(f"hidden is {list(self.hidden)}; every layer needs at least one unit")

    def _start(self, exact: FitResult) -> FitResult | None:
        if self.start in (None, "zeros", "random"):
            return None
        start = self.start
        if isinstance(start, str | Path):
            start = FitResult.load(start)
        if not isinstance(start, FitResult):
            raise UsageError(f"start is a {type(start).__name__}; it can be 'zeros', 'random' or the result of a fit")
        if start.names != exact.names:
            raise UsageError("start is a fit of other columns; fit the same features, in the same order")
        return start
