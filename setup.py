"""Build the compiled kernels, where there is a compiler; without one everything works, on BLAS."""

import sysconfig
from pathlib import Path

from setuptools import Extension, setup

# One build for every Python from 3.11 on, but for those without the global lock, which have no stable ABI yet.
stable = not sysconfig.get_config_var("Py_GIL_DISABLED")


def extension(name: str) -> Extension:
    """Return a compiled module of the kernels, which may be missing."""
    return Extension(
        f"streamreg.kernels.{name}",
        [f"streamreg/kernels/{name}.c"],
        depends=sorted(map(str, Path("streamreg/kernels").glob("*.h"))),
        extra_compile_args=["-O3", "-fno-math-errno", "-ffp-contract=fast"],
        py_limited_api=stable,
        optional=True,
    )


setup(
    ext_modules=[extension("_gram"), extension("_csvscan")],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable else {},
)
