"""Build Keras models: the one that is trained on conditioned rows, and the one that takes raw data."""

from typing import Any

from streamreg.neural.backend import load


def line(p: int, intercept: bool, dtype: str) -> Any:
    """Return a model of one dense unit, its weights zero."""
    _, keras = load()
    unit = keras.layers.Dense(1, use_bias=intercept, kernel_initializer="zeros", dtype=dtype, name="line")
    return keras.Sequential([keras.Input((p,), dtype=dtype), unit])


def optimizer(name: str, rate: float) -> Any:
    """Return a Keras optimizer by name."""
    _, keras = load()
    return keras.optimizers.get({"class_name": name, "config": {"learning_rate": rate}})


def batch_size(n: int, p: int) -> int:
    """Return the default batch size: 4096, or enough for 64 batches an epoch, but no less than p rows."""
    return min(n, 4096, max(32, p, n // 64))


def learning_rate(name: str, curvature: float, p: int, size: int) -> float:
    """Return the default learning rate.

    For plain gradient steps half of what the curvature allows, and less where batches are so small that their own
    curvature exceeds that of all rows: by ``(1 + sqrt(p / size))**2``, the edge of the Marchenko-Pastur law.
    """
    if name != "sgd":
        return 0.02
    return float(0.5 / (curvature * (1.0 + (p / size) ** 0.5) ** 2))
