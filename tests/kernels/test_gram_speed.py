"""Times of the kernels, for pytest-benchmark; in the tests they run once, so that they cannot rot."""

import numpy as np
import pytest

from streamreg.kernels import gram
from streamreg.stats import chan

SHAPES = [(1024, 100), (256, 400)]
KERNELS = [*(name for name in gram._NAMES if name), "blas"]


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    monkeypatch.setattr(gram, "_KERNEL", gram._choose(request.param, gram._NAMES))


def table(shape, dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_block(benchmark, kernel, shape, dtype):
    z, buffer = table(shape, dtype), np.empty((gram.room(*shape), shape[1]))
    node = benchmark(chan.of_block, [z[:, :-1], z[:, -1:]], None, buffer)
    assert node.weight == shape[0]


def test_weighted_block(benchmark, kernel):
    z, weight = table(SHAPES[0]), np.ones(SHAPES[0][0])
    benchmark(chan.of_block, [z], weight, np.empty((gram.room(*SHAPES[0]), SHAPES[0][1])))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_merge(benchmark, kernel, shape):
    a, b = (chan.of_block([table(shape)], None, np.empty((gram.room(*shape), shape[1]))) for _ in range(2))
    assert benchmark(chan.merge, a, b).weight == 2 * shape[0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_finite(benchmark, kernel, shape):
    assert benchmark(gram.finite, table(shape)[:, :-1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_plain_product_of_blas(benchmark, shape):
    benchmark(gram.cross_product, table(shape))
