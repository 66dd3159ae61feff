"""Build the compiled kernels, where there is a compiler; without one everything works, on BLAS and NumPy."""

import sysconfig
from pathlib import Path

from setuptools import Extension, setup

# One build for every Python from 3.11 on, but for those without the global lock, which have no stable ABI yet.
stable = not sysconfig.get_config_var("Py_GIL_DISABLED")


def kernel(name: str, *arguments: str) -> Extension:
    """Describe a kernel of one file, which may be missing."""
    return Extension(
        f"streamreg.kernels.{name}",
        [f"streamreg/kernels/{name}.c"],
        depends=sorted(map(str, Path("streamreg/kernels").glob("*.h"))),
        extra_compile_args=["-O3", "-fno-math-errno", *arguments],
        py_limited_api=stable,
        optional=True,
    )


setup(
    ext_modules=[
        kernel("_gram", "-ffp-contract=fast"),
        kernel("_csvscan"),
        # Products are split exactly there, which a contraction would undo.
        kernel("_levels", "-ffp-contract=off", "-fno-trapping-math"),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable else {},
)
