"""What this machine offers, and which kernel will run on it."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from streamreg import backend
from streamreg._version import __version__
from streamreg.engines.threads import available_threads
from streamreg.kernels import gram

_PACKAGES = ("numpy", "scipy", "h5py", "zarr", "dask", "keras", "tensorflow", "jax", "torch")


def system() -> dict[str, str]:
    """Return facts for a report: kernel and why, processors, BLAS, what Keras would run on, versions.

    Graphics cards are those that the operating system knows of; Keras's library is not asked, as that takes seconds.
    """
    from threadpoolctl import threadpool_info

    blas = sorted({f"{i['internal_api']} {i['version']}" for i in threadpool_info() if i["user_api"] == "blas"})
    return {
        "streamreg": __version__,
        "kernel": gram.describe(),
        "processors": str(available_threads()),
        "BLAS": ", ".join(blas) or "unknown",
        "GPUs": str(len(list(Path("/dev").glob("nvidia[0-9]*"))) or "none of NVIDIA"),
        "Keras on": backend.name() or "nothing: install TensorFlow, JAX or PyTorch",
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str:
    for distribution in (name, f"{name}-cpu", f"{name}-macos"):  # under which TensorFlow is published, too
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "not installed"
