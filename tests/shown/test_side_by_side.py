"""Fits beside each other: the numbers are those of statsmodels and pyfixest, in every format."""

import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import streamreg as sr
from streamreg.cli import main
from streamreg.errors import NotFound, UsageError
from streamreg.results.side_by_side import SideBySide

RNG = np.random.default_rng(4)
FRAME = pd.DataFrame(RNG.normal(size=(400, 2)), columns=["a", "b_c"]).assign(firm=np.arange(400) % 7)
FRAME["y"] = 1 + FRAME["a"] - 0.1 * FRAME["b_c"] + 0.3 * FRAME["firm"] + RNG.normal(size=400)
SHORT, LONG = sr.Linear("y ~ a").fit(FRAME), sr.Linear("y ~ a + b_c").fit(FRAME)
WITHIN = sr.Linear("y ~ a + b_c | firm", errors={"cluster": "firm"}).fit(FRAME)
COUNTS = sr.Glm("n ~ a", family="poisson").fit(FRAME.assign(n=RNG.poisson(2, 400)))
FITS = {"short": SHORT, "long": LONG, "within <&_>": WITHIN, "counts": COUNTS}


def cells(shown: SideBySide) -> dict[str, list[str]]:
    rows = [*shown.grid.head, *(row for block in shown.grid.blocks for row in block)]
    held: dict[str, list[str]] = {}
    last = "head"
    for name, *rest in rows:
        last = name or f"{last} error"
        held[last] = rest
    return held


def test_numbers_are_those_of_statsmodels():
    import statsmodels.formula.api as smf
    from statsmodels.iolib.summary2 import summary_col

    theirs = [smf.ols(text, FRAME).fit() for text in ("y ~ a", "y ~ a + b_c")]
    table = summary_col(theirs, stars=True, float_format="%.4f", info_dict={"N": lambda fit: f"{fit.nobs:.0f}"}).tables[
        0
    ]
    mine = cells(sr.table([SHORT, LONG], stars=True, digits=4))
    for term, row in (("(intercept)", "Intercept"), ("a", "a"), ("b_c", "b_c")):
        assert mine[term] == table.loc[row].tolist()
    at = list(table.index).index("a")
    assert mine["a error"] == table.iloc[at + 1].tolist()
    assert [float(v) for v in mine["R2"]] == pytest.approx([fit.rsquared for fit in theirs], abs=6e-5)
    assert mine["N"] == table.loc["N"].tolist()
    assert [float(v.replace(",", "")) for v in mine["AIC"]] == pytest.approx([fit.aic for fit in theirs], abs=0.06)


def test_numbers_are_those_of_pyfixest():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own use of pandas
        pyfixest = pytest.importorskip("pyfixest")
        theirs = pyfixest.feols("y ~ a + b_c | firm", FRAME, vcov={"CRV1": "firm"}, fixef_rm="none")
        table = pyfixest.etable([theirs], type="df", digits=3)
    shown = {str(name[-1] if isinstance(name, tuple) else name): row.iloc[0] for name, row in table.iterrows()}
    mine = cells(sr.table([WITHIN], digits=3))
    for term in ("a", "b_c"):
        estimate, error = re.findall(r"-?\d+\.\d+", shown[term])
        assert mine[term] == [estimate]
        assert mine[f"{term} error"] == [f"({error})"]
    assert mine["effects of firm"] == ["yes"]
    assert "short" not in mine


@pytest.mark.parametrize("kind", ["text", "md", "html", "tex", "typst"])
def test_every_format_holds_every_number(kind):
    shown = sr.table(FITS, kind, stars=True)
    bare = shown.replace("\\", "").replace("$-$", "-").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    for block in shown.grid.blocks:
        for row in block:
            assert all(cell in bare for cell in row)
    if kind == "html":
        assert "<&_>" not in shown
        HTMLParser().feed(shown)
    if kind == "tex":
        body = shown.split("\\midrule")[0]
        assert "within \\textless{}\\&\\_\\textgreater{}" in body
        rows = [line for line in shown.splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {4}
    if kind == "typst":
        assert shown.count("[") - shown.count("\\[") >= 5 * len(shown.to_frame())


def test_terms_are_chosen_and_mistakes_said():
    assert "b_c" not in cells(sr.table(FITS, keep=["a"]))
    with pytest.raises(NotFound, match="no fit has a term 'b_d'; did you mean 'b_c'"):
        sr.table(FITS, keep=["b_d"])
    with pytest.raises(UsageError, match="'markdown'"):
        sr.table(FITS, "markdown")  # type: ignore[arg-type]
    for wrong in (sr.Penalised(alphas=3, features=["a"]).fit(FRAME, "y"), [], 3, [sr.Linear()]):
        with pytest.raises(UsageError):
            sr.table(wrong)


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    SHORT.save("short.npz")
    WITHIN.save("within.npz")
    assert main(["table", "short.npz", "within.npz", "--stars"]) == 0
    assert capsys.readouterr().out.strip() == sr.table({"short": SHORT, "within": WITHIN}, stars=True).strip()
    for code in (0, 2):
        assert main(["table", "short.npz", "--format", "tex", "-o", "table.tex"]) == code
    assert (tmp_path / "table.tex").read_text() == sr.table({"short": SHORT}, "tex") + "\n"
