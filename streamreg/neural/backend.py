"""The one place that imports TensorFlow."""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from streamreg.errors import MissingExtra, UsageError

_CHATTER = (
    b"absl::InitializeLog",
    b"oneDNN custom operations",
    b"cpu_feature_guard",
    b"cudart_stub",
    b"cuda_platform",
    b"To enable the following instructions",
)


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back the C++ library's start-up lines, which no log level silences; whatever else is said is passed on."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        real = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            held.seek(0)
            for line in held:
                if not any(words in line for words in _CHATTER):
                    os.write(real, line)
            os.close(real)


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
    with _without_chatter(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside TensorFlow and what it imports
        try:
            import tensorflow as tf  # isort: skip
            import keras  # after TensorFlow, which it runs on

            tf.zeros(1)  # the first operation has start-up lines of its own
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
