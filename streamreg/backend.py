"""The one place that imports Keras and the library it runs on: TensorFlow, JAX or PyTorch."""

import importlib
import importlib.util
import json
import math
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.errors import MissingExtra, UsageError

LIBRARIES = ("tensorflow", "jax", "torch")

_LOCAL = threading.local()
_LINE = 64  # bytes
_EXHAUSTED = "ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "out of memory"

_CHATTER = (
    b"absl::InitializeLog",
    b"oneDNN custom operations",
    b"cpu_feature_guard",
    b"cudart_stub",
    b"cuda_platform",
    b"To enable the following instructions",
)


def name() -> str:
    """Return the library that Keras runs on, or would; "" if there is none. Nothing is imported for it.

    It is what KERAS_BACKEND says, or else Keras's own file of settings; but that file says TensorFlow unless told
    otherwise, so if it names what is not installed, the first of `LIBRARIES` that is.
    """
    if "keras" in sys.modules:
        return str(sys.modules["keras"].config.backend())
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    written = _written()
    if written and written not in LIBRARIES:
        return written
    installed = [library for library in LIBRARIES if importlib.util.find_spec(library) is not None]
    return written if written in installed else next(iter(installed), "")


def _written() -> str:
    """Return the backend that Keras's file of settings names, or "", looking where Keras looks."""
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")  # noqa: S108 - Keras looks there
    try:
        settings = json.loads((Path(os.environ.get("KERAS_HOME") or home / ".keras") / "keras.json").read_text())
        return str(settings.get("backend", ""))
    except (OSError, ValueError, AttributeError):
        return ""


@cache
def load() -> Any:
    """Import Keras, on the library of `name`, and return its module.

    Raises
    ------
    MissingExtra
        Keras, or that library, is not installed.
    UsageError
        Keras is set to a library that does not train; or JAX was imported before and computes in single precision.
    """
    chosen = name()
    if not chosen:
        raise MissingExtra("sr.Keras and work on a GPU need TensorFlow, JAX or PyTorch; pip install 'streamreg[keras]'")
    if chosen not in LIBRARIES:
        raise UsageError(f"Keras runs on {chosen}, which does not train; set KERAS_BACKEND to one of {LIBRARIES}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not os.environ.get("KERAS_BACKEND") and chosen != _written():
        os.environ["KERAS_BACKEND"] = chosen
    early = "jax" in sys.modules
    with _without_chatter(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the library and what it imports
        try:
            library = importlib.import_module(chosen)
            if chosen == "jax":
                _double_precision(library, early)
            import keras  # after the library, which it runs on

            keras.ops.zeros(1)  # the first operation has start-up lines of its own
        except ImportError as error:
            raise MissingExtra(
                f"sr.Keras and work on a GPU need Keras on {chosen}, which cannot be imported ({error}); "
                "pip install 'streamreg[keras]', or set KERAS_BACKEND"
            ) from error
    return keras


def library() -> Any:
    """Return the module of the library that Keras runs on."""
    load()
    return sys.modules[name()]


def _double_precision(jax: Any, early: bool) -> None:
    """Let JAX compute in float64. It is a setting of the whole process: other code's is left alone."""
    if not early:
        jax.config.update("jax_enable_x64", True)
    elif not jax.config.jax_enable_x64:
        raise UsageError(
            "JAX was imported before and is set to single precision; set JAX_ENABLE_X64=1, "
            "or say jax.config.update('jax_enable_x64', True) first"
        )


def devices() -> list[str]:
    """Return what the library can compute on, in Keras's words: "gpu:0", ..., "cpu:0"; graphics cards first."""
    module, chosen = library(), name()
    if chosen == "tensorflow":
        found = [_of_tensorflow(device.name) for device in module.config.list_logical_devices()]
    elif chosen == "jax":
        found = [f"{device.platform}:{device.id}" for device in (*module.devices(), *module.devices("cpu"))]
    else:
        found = [*(f"gpu:{i}" for i in range(module.cuda.device_count())), "cpu:0"]
    return sorted({d for d in found if d.startswith(("gpu:", "cpu:"))}, key=lambda d: (d.startswith("cpu"), d))


def device(wanted: str | None = None) -> str:
    """Return the full name of a device.

    Parameters
    ----------
    wanted : str, optional
        "cpu", "gpu", "gpu:1", ...; default: where the library computes unless told otherwise, a graphics card if it
        sees one.

    Raises
    ------
    UsageError
        There is none of this name.
    """
    if wanted is None:
        usual = where(load().ops.zeros(()))
        return usual if usual.startswith(("gpu:", "cpu:")) else "cpu:0"  # no double precision elsewhere
    full = wanted if ":" in wanted else f"{wanted}:0"
    seen = devices()
    if full not in seen:
        raise UsageError(f"no device {wanted!r}: {name()} sees {', '.join(seen)}; name one of these, or leave it out")
    return full


def where(tensor: Any) -> str:
    """Return the device that a tensor lies on."""
    chosen = name()
    if chosen == "tensorflow":
        return _of_tensorflow(tensor.device)
    if chosen == "jax":
        home = next(iter(tensor.devices()))
        return f"{home.platform}:{home.id}"
    return f"{tensor.device.type.replace('cuda', 'gpu')}:{tensor.device.index or 0}"


def to_numpy(tensor: Any) -> NDArray[Any]:
    """Return a copy of a tensor, or of the value of a Keras variable, once it is computed."""
    value = tensor.value if isinstance(tensor, load().Variable) else tensor
    # Keras's own conversion, and np.array, ask some tensors in a way that NumPy warns of.
    return np.asarray(value.detach().cpu().numpy() if name() == "torch" else value).copy()


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return memory that all libraries can share: TensorFlow and JAX compute only with what begins at 64 bytes."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def on_device(arrays: Sequence[NDArray[Any]], full: str) -> tuple[Any, ...]:
    """Return arrays as tensors on the device of this full name; on a processor they share memory that is `aligned`.

    Raises
    ------
    MemoryError
        That of the device does not hold them.
    """
    chosen, module = name(), library()
    kind, _, number = full.partition(":")
    try:
        if chosen == "jax":
            target = next(device for device in module.devices(kind) if device.id == int(number))
            return tuple(module.device_put(tuple(arrays), target))
        if chosen == "torch":
            shared = map(module.from_numpy, arrays)
            return tuple(shared if kind == "cpu" else (tensor.to(full.replace("gpu", "cuda")) for tensor in shared))
        shared = map(_shared, arrays)
        if kind == "cpu":
            return tuple(shared)
        with scope(full):
            return tuple(map(module.identity, shared))
    except Exception as error:
        if any(word in f"{type(error).__name__} {error}" for word in _EXHAUSTED):
            raise MemoryError(f"{full} does not hold {sum(array.nbytes for array in arrays):,} bytes more") from error
        raise


def _shared(array: NDArray[Any]) -> Any:
    """Return a tensor of TensorFlow's that shares the memory of an array; of a copy, if that is not aligned."""
    if array.ctypes.data % _LINE:
        array, given = aligned(array.shape, array.dtype), array
        array[...] = given
    return library().experimental.dlpack.from_dlpack(array.__dlpack__())


def host_memory(size: int) -> NDArray[np.uint8]:
    """Return memory for rows on their way to a graphics card, which can read it by itself if PyTorch has it pinned."""
    if name() == "torch" and library().cuda.is_available():
        pinned: NDArray[np.uint8] = library().empty(size, dtype=library().uint8, pin_memory=True).numpy()
        return pinned
    return np.empty(size, np.uint8)


@contextmanager
def queue(full: str) -> Iterator[None]:
    """Have a graphics card compute for this thread apart from others: PyTorch has one queue for all unless told so."""
    if name() != "torch" or full.startswith("cpu"):
        yield
        return
    queues: dict[str, Any] = _LOCAL.__dict__.setdefault("queues", {})
    if full not in queues:
        queues[full] = library().cuda.Stream(full.replace("gpu", "cuda"))
    with library().cuda.stream(queues[full]):
        yield


def _of_tensorflow(path: str) -> str:
    """Return "gpu:0" for "/job:localhost/replica:0/task:0/device:GPU:0"."""
    return path.rpartition("device:")[2].lower()


def scope(full: str) -> AbstractContextManager[Any]:
    """Compute on the device of this full name, in this thread."""
    if name() == "torch" and full == "cpu:0":
        full = "cpu"  # which PyTorch holds to be another device than cpu:0, and copies to and fro
    scope: AbstractContextManager[Any] = load().device(full)
    return scope


@contextmanager
def full_products() -> Iterator[None]:
    """Keep all 24 bits of float32 in products on a graphics card, where TensorFloat-32 would keep 11."""
    module, chosen = library(), name()
    if chosen == "jax":
        with module.default_matmul_precision("float32"):
            yield
    elif chosen == "tensorflow":
        settings = module.config.experimental
        before = settings.tensor_float_32_execution_enabled()
        settings.enable_tensor_float_32_execution(False)  # of the whole process, for the time being
        try:
            yield
        finally:
            settings.enable_tensor_float_32_execution(before)
    else:
        yield  # PyTorch does so by itself


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
