"""i() makes the columns of pyfixest, under its names."""

import warnings

import numpy as np
import pandas as pd
import pytest
from formula_frames import Survey, columns, schema
from pyfixest.estimation.formula.factor_interaction import factor_interaction

from streamreg.design.formula.encoder import FormulaEncoder
from streamreg.design.formula.grammar import parse
from streamreg.design.formula.passes import learn

rng = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "year": rng.integers(1998, 2003, 200),
        "treat": rng.integers(0, 2, 200),
        "x": rng.normal(size=200),
        "g": rng.choice(list("abc"), 200),
    }
)


@pytest.mark.parametrize(
    "text",
    [
        "i(year)",
        "i(year) - 1",
        "i(year, ref=2000)",
        "i(year, ref=2000) - 1",
        "i(year, x)",
        "i(year, treat, ref=2000)",
        "x + i(g, x, ref='b')",
        "i(g, var2=x)",
        "i(year, g)",
        "i(year, g, ref=2000)",
        "i(year, g, ref=2000, ref2='b')",
        "x + i(g) + treat",
    ],
)
def test_i_is_that_of_pyfixest(text):
    import formulaic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = formulaic.model_matrix(text, FRAME, context={"i": factor_interaction})
    found = columns(FRAME)
    encoder = learn(parse(text), schema(found), Survey(found))
    assert [*["Intercept"] * encoder.intercept, *encoder.features] == list(theirs.columns)
    ours = encoder.design(found)[0]
    np.testing.assert_allclose(ours, theirs.to_numpy(float)[:, int(encoder.intercept) :], rtol=0, atol=1e-15)
    assert FormulaEncoder.from_dict(encoder.to_dict()) == encoder
