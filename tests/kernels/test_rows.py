"""Linear predictors and weighted sums of a block: every kernel, any layout, against NumPy."""

import numpy as np
import pytest

from streamreg.kernels import gram
from streamreg.kernels.rows import Rows

KERNELS = [*(name for name in gram._NAMES if name), "blas"]


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    monkeypatch.setattr(gram, "_KERNEL", gram._choose(request.param, gram._NAMES))
    return request.param


@pytest.mark.parametrize("p", [1, 3, 7, 8, 9, 31, 33, 100])
def test_rows_are_right_in_any_layout(kernel, p):
    rng = np.random.default_rng(p)
    for m in (1, 5, 130, 257):
        whole = rng.integers(-900, 900, (m, p + 2)).astype(np.float64)
        centre, coef, scale = rng.normal(size=p), rng.normal(size=(2, p)), rng.uniform(size=p)
        signed, sized = rng.normal(size=m), rng.uniform(size=m)
        x = np.ascontiguousarray(whole[:, :p])
        z = x - centre
        want = [*(z @ coef.T).T, ((z * scale) ** 2).sum(axis=1)], [signed @ z, sized @ np.abs(z)]
        first = None
        for same in (x, whole[:, :p], np.asfortranarray(x), x.astype(np.float32), x.astype(np.int64), x[:, :]):
            rows = Rows(same, centre)
            found = rows.lines(coef, scale), rows.sums(signed, sized)
            for ours, theirs in zip(found, want, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-9)
            assert np.array_equal(rows.lines(coef[:1], scale), found[0][[0, 2]])
            first = first or found
            assert all(np.array_equal(a, b) for a, b in zip(found, first, strict=True))


def test_what_float64_lacks_counts(kernel):
    x, low = np.full((3, 2), 1e16), np.array([[0.25, -0.5], [0.5, 0.0], [1.0, 0.125]])
    found = Rows(x, np.full(2, 1e16), low).lines(np.array([[1.0, 1.0]]), np.ones(2))
    assert found[0].tolist() == [-0.25, 0.5, 1.125]


def test_bad_arguments_are_refused():
    if gram.number() is None:
        pytest.skip("no compiled kernel")
    x, one = np.ones((4, 3)), np.ones(3)
    for coef, count, out in ((one, 2, np.empty((3, 4))), (one, 1, np.empty((1, 4))), (one, 3, np.empty((4, 4)))):
        with pytest.raises(ValueError, match="expected"):
            gram._gram.lines(gram.number(), x, one, coef, count, one, out)
    with pytest.raises(ValueError, match="expected"):
        gram._gram.sums(gram.number(), x, one, np.ones(3), np.ones(4), np.empty((2, 3)))
