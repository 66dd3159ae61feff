"""What is passed by mistake is told in one sentence, wherever it is passed."""

import numpy as np
import pytest

import streamreg as sr

ROWS = (np.ones((9, 2)), np.ones(9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sr.split(ROWS, "a"), "held_out is 'a'; it is a share of the rows"),
        (lambda: sr.split(ROWS, None), "held_out is None; it is a share of the rows"),
        (lambda: sr.split(ROWS, 1.5), "held_out is 1.5; it is a share of the rows"),
        (lambda: sr.load(3), "load takes the path of a saved scan, not a int"),
        (lambda: sr.FitResult.load(None), "load takes the path of a saved fit, not a NoneType"),
        (lambda: sr.merge(3), "3 is no scan; pass what sr.scan returned, or the path of a file of moments"),
        (lambda: sr.folds(None), "None is no scan"),
    ],
)
def test_arguments_of_the_wrong_kind(call, message):
    with pytest.raises(sr.UsageError, match=message):
        call()
