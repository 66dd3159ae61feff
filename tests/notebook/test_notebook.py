"""In a real Jupyter kernel tables are the same text as elsewhere, and nothing is displayed by itself."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CODE = """
import json
import numpy as np
import streamreg as sr

random = np.random.default_rng(0)
x = random.normal(size=(60, 3))
data = sr.open((x, x @ [1.0, 2.0, 3.0] + random.normal(size=60)))
fit = sr.Linear().fit(data)
moments = sr.scan(data, folds=3)
made = {
    "summary": fit.summary(),
    "fit": str(fit),
    "conditioning": str(fit.conditioning()),
    "comparison": str(sr.compare(fit, fit)),
    "path": str(sr.Penalised(alphas=5).cross_validate(moments)),
    "selection": str(sr.Subsets(method="forward").fit(moments)),
    "restrictions": str(sr.wald_test(fit, "x0 = 0")),
    "scores": str(sr.score({"line": fit}, data)),
    "bootstrap": str(sr.bootstrap(sr.Linear(), sr.scan(data, blocks=5))),
    "logistic": str(sr.Logistic().fit(sr.open((x, (random.random(60) > 0.5) * 1.0)))),
}
# Wall times differ from run to run, and with them the width of columns.
timed = ("second", " ms")
lines = {name: [" ".join(line.split()) for line in text.splitlines()] for name, text in made.items()}
lines = {name: [line for line in text if set(line) - {"\\u2500"}] for name, text in lines.items()}
print(json.dumps({name: [line for line in text if not any(t in line for t in timed)] for name, text in lines.items()}))
"""


class Kernel:
    """A Jupyter kernel on this interpreter."""

    def __init__(self) -> None:
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager(transport="ipc")
        self._manager.kernel_spec.argv[0] = sys.executable
        self._manager.start_kernel()
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(self, code: str) -> tuple[str, list[Any]]:
        """Run a cell; return what it printed, and what else it put out: displays and errors."""
        printed: list[str] = []
        others: list[Any] = []

        def hook(message: dict[str, Any]) -> None:
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream":
                printed.append(content["text"])
            elif kind in ("display_data", "execute_result", "error"):
                others.append(content)

        self._client.execute_interactive(code, output_hook=hook, timeout=60)
        return "".join(printed), others

    def stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.stop()


def test_tables_in_a_kernel_are_those_of_a_script(kernel, capsys):
    exec(CODE, {})
    here = json.loads(capsys.readouterr().out)
    printed, others = kernel.run(CODE)
    assert others == []
    assert json.loads(printed) == here
    assert all(here.values())
