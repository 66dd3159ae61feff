"""Training with Keras: rows made ahead, a line or a network, its weights back in the units of the data.

Keras itself is imported by `backend.load` when the first fit begins.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamreg.neural.result import NetworkResult
    from streamreg.neural.task import Task
    from streamreg.results.base import FitResult


def to_keras(fit: "FitResult") -> Any:
    """Return the line of a fit, by Keras or not, as a keras.Model that takes raw data and predicts means.

    Parameters
    ----------
    fit : FitResult

    Returns
    -------
    keras.Model
        Made of Keras's own layers in float64; ``model.save("line.keras")`` writes a file that needs no streamreg.

    Raises
    ------
    MissingExtra
        Keras, or a library for it to run on, is not installed.
    """
    from streamreg.neural.network import from_line

    return from_line(fit)


def train(task: "Task") -> "FitResult | NetworkResult":
    """Do a training: of a line, by its loss, or of a network."""
    from streamreg import backend

    task.check()
    with backend.scope(task.device), backend.full_products():
        return _train(task)


def _train(task: "Task") -> "FitResult | NetworkResult":
    if not task.model.is_line:
        from streamreg.neural.nets import Net

        return Net(task).run()
    if task.loss.has_moments:
        from streamreg.neural.line import LineTraining

        return LineTraining(task).run()
    from streamreg.neural.likelihood import Likelihood

    return Likelihood(task).run()
