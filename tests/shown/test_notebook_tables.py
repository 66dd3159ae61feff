"""What a notebook shows of sources and moments."""

import numpy as np
import pandas as pd

import streamreg as sr


def test_sources_and_moments_are_tables_of_their_columns():
    frame = pd.DataFrame({"<a>": np.arange(9.0), "town": ["u", "v", "w"] * 3, "y": np.arange(9.0) ** 2})
    source = sr.open(frame, target="y")
    shown = source._repr_html_()
    for cell in ("&lt;a&gt;", "<td>float64</td>", "<td>target</td>", "<td>9</td>"):
        assert cell in shown
    moments = sr.scan(source, ["<a>"], folds=2)
    for state in (moments, sr.scan(source, ["<a>"]), sr.scan(source, ["<a>"], precision="exact")):
        assert "&lt;a&gt;" in state._repr_html_()
        assert "target" in state._repr_html_()
    many = sr.open((np.zeros((3, 50)), np.zeros(3)))._repr_html_()
    assert "and 21 more columns" in many
    fit = sr.Linear(features=["<a>"]).fit(source)
    assert list(fit.table().to_frame().columns) == list(fit.to_frame().columns)
    assert sr.table(fit)._repr_html_().startswith("<table")
