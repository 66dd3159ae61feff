"""The one place that imports TensorFlow."""

import os
import warnings
from functools import cache
from typing import Any

from streamreg.errors import MissingExtra, UsageError


@cache
def load() -> tuple[Any, Any]:
    """Import TensorFlow and Keras and return both modules.

    Raises
    ------
    MissingExtra
        TensorFlow is not installed.
    UsageError
        Keras is set to another backend, which tf.data does not feed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside TensorFlow and what it imports
        try:
            import tensorflow as tf  # isort: skip
            import keras  # after TensorFlow, which it runs on
        except ImportError as error:
            raise MissingExtra(
                f"sr.Keras needs TensorFlow, which cannot be imported ({error}); pip install 'streamreg[keras]'"
            ) from error
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"Keras runs on {keras.backend.backend()}, and the rows come through tf.data; "
            "set KERAS_BACKEND=tensorflow before Keras is imported"
        )
    return tf, keras
