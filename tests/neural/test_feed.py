"""Windows made ahead of the training: in order, with the errors of whoever reads, and let go of when nobody waits."""

import threading

import numpy as np
import pytest

from streamreg import backend
from streamreg.neural import feed

pytestmark = pytest.mark.keras


class Source:
    """Windows that count from 0, and an error after so many."""

    def __init__(self, count, error=None):
        self.count, self.error, self.closed = count, error, False

    def windows(self):
        try:
            for number in range(self.count):
                x = np.full((3, 2), number, np.float32)
                yield x, x[:, 0].copy(), np.ones(3, np.float32), np.arange(3)
            if self.error:
                raise self.error
        finally:
            self.closed = True


def by_thread(source):
    return feed._ahead(source.windows(), feed._to_device("cpu:0"))


def by_library(source):
    """Return what a graphics card is fed by: on TensorFlow a thread behind a dataset."""
    windows = source.windows()
    if backend.name() == "tensorflow":
        windows = feed._through_dataset(windows, 2, np.dtype(np.float32))
    return feed._ahead(windows, feed._to_device("cpu:0"))


@pytest.fixture(params=[by_thread, by_library])
def ahead(request):
    backend.load()
    return request.param


def test_all_windows_come_in_order(ahead):
    source = Source(20)
    seen = [[backend.to_numpy(part) for part in window] for window in ahead(source)]
    assert [x[0, 0] for x, _, _, _ in seen] == list(range(20))
    assert all(x.shape == (3, 2) and y.shape == w.shape == order.shape == (3,) for x, y, w, order in seen)
    assert source.closed


def test_an_error_is_raised_as_itself_and_after_the_windows_before_it(ahead):
    error, seen = KeyError("row 7"), []
    with pytest.raises(KeyError) as raised:
        seen.extend(ahead(Source(7, error)))
    assert raised.value is error
    assert len(seen) == 7


def test_whoever_leaves_early_leaves_nothing_running(ahead):
    source = Source(10**6)
    windows = ahead(source)
    next(windows)
    windows.close()
    assert source.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "streamreg-feed"]
