"""Several generalised linear models in shared passes: the same bits as one after the other, in fewer passes."""

import numpy as np
import pandas as pd
import pytest

import streamreg as sr
from streamreg.errors import UsageError

RNG = np.random.default_rng(4)
N = 6_000
X = RNG.normal(size=(N, 3))
GROUP = RNG.integers(0, 4, N)
ETA = (0.3 + 0.2 * GROUP) * X[:, 0] - 0.4 * X[:, 1]
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(
    group=GROUP,
    town=np.array(["Ulm", "Bonn", "Kiel", "Jena"])[GROUP],
    label=(RNG.random(N) < 1 / (1 + np.exp(-ETA))) * 1.0,
    other=(RNG.random(N) < 1 / (1 + np.exp(ETA))) * 1.0,
    count=RNG.poisson(np.exp(ETA)).astype(float),
    w=RNG.random(N) + 0.5,
    off=0.1 * RNG.normal(size=N),
)
FEATURES = ("a", "b", "c")
SAME = ("coef", "std_errors", "deviance", "null_deviance", "log_lik", "digits", "intercept", "nobs")


def same(one, other):
    for name in SAME:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (sr.Logistic(features=FEATURES), "label"),
        (sr.Glm(family="poisson", features=FEATURES, offset="off"), "count"),
        (sr.Logistic(features=FEATURES, ridge=3.0, intercept=False), "label"),
    ],
)
def test_groups_have_the_bits_of_fits_of_their_own(model, target):
    groups = sr.fit_by(model, sr.open(FRAME, target=target, weights="w"), "group")
    alone = []
    for key, fit in groups.items():
        source = sr.open(FRAME, target=target, weights="w", where=f"group == {key}")
        alone.append(model.fit(source))
        same(fit, alone[-1])
    whole = model.fit(sr.open(FRAME, target=target, weights="w"))
    same(groups.pooled, whole)
    # One pass to find the groups, and then those of the slowest.
    assert groups.pooled.passes <= 1 + max(fit.passes for fit in (*alone, whole))
    assert groups.pooled.passes < sum(fit.passes for fit in alone)
    assert groups.status == "ok"


def test_text_names_groups_and_they_are_saved(tmp_path):
    data = sr.open(FRAME, target="label")
    groups = sr.ByGroup(sr.Logistic(features=FEATURES), by="town").fit(data)
    assert sorted(groups) == ["Bonn", "Jena", "Kiel", "Ulm"]
    same(groups["Kiel"], sr.fit_by(sr.Logistic(features=FEATURES), data, "group")[2])
    groups.save(tmp_path / "groups.npz")
    again = sr.load(tmp_path / "groups.npz")
    assert str(again) == str(groups)
    assert 0 < groups.rsquared < 1
    assert np.isnan(groups.sigma)
    with pytest.raises(UsageError, match="is of lines"):
        groups.chow()


def test_targets_have_the_bits_of_fits_of_their_own():
    fits = sr.fit_targets(sr.Logistic(features=FEATURES), sr.open(FRAME, weights="w"), ["label", "other"])
    passes = 0
    for target, fit in fits.items():
        alone = sr.Logistic(features=FEATURES).fit(sr.open(FRAME, target=target, weights="w"))
        same(fit, alone)
        assert fit.target == target
        passes += alone.passes
        np.testing.assert_array_equal(fit.predict(FRAME), alone.predict(FRAME))
    assert fits["label"].passes < passes
    line = sr.fit_targets(sr.Glm(family="gaussian"), sr.scan(sr.open(FRAME[["a", "b", "c"]])), ["c"])
    assert line["c"].names == ("a", "b")


def test_what_cannot_be_is_refused():
    data = sr.open(FRAME.assign(label=np.where(GROUP == 2, 1.0, FRAME["label"])), target="label")
    with pytest.raises(sr.DataError, match=r"group = 2: .*in every row.*leave the level out"):
        sr.fit_by(sr.Logistic(features=FEATURES), data, "group")
    with pytest.raises(UsageError, match="MiB"):
        sr.fit_by(sr.Logistic(features=FEATURES), data, "group", memory=5_000)
    with pytest.raises(UsageError, match="moments hold none"):
        sr.fit_by(sr.Logistic(), sr.scan((X, FRAME["label"])), "group")
    with pytest.raises(UsageError, match="moments hold none"):
        sr.fit_targets(sr.Logistic(), sr.scan((X, FRAME["label"])), ["x0"])
    with pytest.raises(UsageError, match="do not estimate alpha"):
        sr.fit_by(sr.Glm(family="negative_binomial"), data, "group")
    with pytest.raises(UsageError, match="a pass of its own"):
        sr.fit_by(
            sr.Glm(family="gamma", features=("a",)),
            sr.open(FRAME.drop(columns="town").abs(), target="c", weights="w"),
            "group",
        )
    with pytest.raises(UsageError, match="a target and a feature"):
        sr.fit_targets(sr.Logistic(features=FEATURES), sr.open(FRAME), ["label", "a"])
    with pytest.raises(UsageError, match="no target"):
        sr.fit_targets(sr.Logistic(), sr.open(FRAME), [])
