"""Levels that are new, missing values, numbers outside of what a function knows, and the digits of products."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from formula_frames import Survey, columns, schema
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamreg.design.formula.grammar import parse
from streamreg.design.formula.passes import learn
from streamreg.design.formula.structure import parts
from streamreg.errors import DataError, NotFound, UsageError
from streamreg.sources.chunk import Coded


def learnt(text, found, unseen="error"):
    return learn(parse(text), schema(found), Survey(found)).with_unseen(unseen)


FRAME = pd.DataFrame(
    {"g": list("abcab"), "k": [1, 2, 3, 2, 1], "b": [True, False, True, True, False], "x": np.arange(5.0)}
)


@pytest.mark.parametrize(
    ("text", "own", "reference"),
    [
        ("g", [0, 0], [0, 0]),
        ("g - 1", [0, 0, 0], [1, 0, 0]),
        ("C(g, Sum)", [0, 0], [-1, -1]),
        ("C(g, Treatment('b'))", [0, 0], [0, 0]),
        ("C(g, Treatment('b')) - 1", [0, 0, 0], [0, 1, 0]),
        ("C(g, OneHot)", [0, 0, 0], [1, 0, 0]),
        ("i(g, x)", [0, 0, 0], [7, 0, 0]),
    ],
)
def test_levels_that_the_fit_has_not_seen(text, own, reference):
    found = columns(FRAME)
    new = {"g": Coded(np.array([1, 0], np.int32), ("zz", "a")), "x": np.array([1.0, 7.0])}
    with pytest.raises(
        DataError, match=r"rows, row 41 \(from 0\), g: 'zz' is a level that the fit has not seen \(a, b, c\)"
    ):
        learnt(text, found).design(new, start=40)
    for how, wanted in (("own", own), ("reference", reference)):
        high, _ = learnt(text, found, unseen=how).design(new)
        np.testing.assert_array_equal(high[1], wanted)


def test_new_numbers_are_new_levels_too():
    encoder = learnt("C(k)", columns(FRAME))
    with pytest.raises(DataError, match="k: 4 is a level"):
        encoder.design({"k": np.array([1, 4])}, start=3)
    np.testing.assert_array_equal(
        encoder.design({"k": np.array([1.0, 2.0, np.nan])})[0], [[0, 0], [1, 0], [np.nan] * 2]
    )
    with pytest.raises(DataError, match="holds numbers"):
        learnt("C(g)", columns(FRAME)).design({"g": np.array([1])})


def test_truth_values_are_levels_whether_or_not_some_are_missing():
    encoder = learnt("C(b)", columns(FRAME))
    assert encoder.features == ("C(b)[T.True]",)
    least = np.iinfo(np.int64).min
    np.testing.assert_array_equal(encoder.design({"b": np.array([1, 0, least])})[0][:, 0], [1, 0, np.nan])


def test_missing_values_are_nan_in_all_columns_of_a_factor():
    found = {
        "x": np.array([1.1, np.nan, 3.3, 4.7]),
        "k": np.array([1, 2, np.iinfo(np.int64).min, 1]),
        "g": Coded(np.array([0, 1, 0, -1], np.int32), ("a", "b")),
    }
    encoder = learnt("x + C(k) + g + x:g + I(x**2) + poly(x, 2) + bs(x) + cr(x, df=3) + log(x)", found)
    high, low = encoder.design(found)
    assert low is not None
    assert np.isfinite(low).all()
    for k, name in enumerate(encoder.features):
        gone = [1] * ("x" in name) + [2] * ("k" in name) + [3] * ("g[" in name)
        assert np.flatnonzero(np.isnan(high[:, k])).tolist() == gone, name


def test_levels_are_those_of_complete_rows_and_means_those_of_a_column():
    data = pd.DataFrame({"g": list("abca"), "x": [1.0, 2, np.nan, 6]})
    found = columns(data)
    assert learnt("x + g", found).features == ("x", "g[T.b]")
    assert learnt("g", found).features == ("g[T.b]", "g[T.c]")
    np.testing.assert_array_equal(learnt("center(x) + g", found).design(found)[0][:, 0], [-2, -1, np.nan, 3])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("log(x)", r"row 10 \(from 0\), log\(x\): x = 0.0 gives no finite number"),
        ("sqrt(z) + x", r"row 12 \(from 0\), sqrt\(z\): z = -1.0 gives"),
        ("I(z / x)", r"row 10 \(from 0\), z / x: z = 2.0, x = 0.0 gives"),
        ("exp(z*1000)", r"row 10 .*exp\(z \* 1000\): z = 2.0"),
        ("I(z**400)", r"row 11 .*z \*\* 400: z = 9.0"),
        ("poly(z, 500, raw=True)", "degree"),
        ("bs(x, df=4, lower_bound=1)", r"row 10 .*bs\(x, df=4, lower_bound=1\): x = 0.0 lies outside of 1.0 to 2.0"),
    ],
)
def test_no_number_is_made_up_where_a_function_has_none(text, words):
    found = {"x": np.array([0.0, 1, 2]), "z": np.array([2.0, 9, -1])}
    with pytest.raises((DataError, UsageError), match=words):
        learnt(text, found).design(found, start=10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("C(g, Treatment('d'))", "'d' is no level"),
        ("C(k, Treatment('1'))", "'1' is no level"),
        ("i(k, ref=9)", "9 is no level"),
        ("C(g, levels=['a', 'a'])", "different values"),
        ("poly(k, 3)", "too few different values"),
        ("poly(x, 21)", "from 1 to 20"),
        ("bs(x, df=2)", "df is a whole number from 3"),
        ("bs(x, df=4, knots=[1])", "df or knots"),
        ("bs(x, knots=[9])", "between the bounds"),
        ("bs(x, knots=['a'])", "knots are numbers"),
        ("bs(x, df=4, extrapolation='magic')", "extrapolation is one of"),
        ("cr(x)", "say how many columns"),
        ("cr(zero, df=4)", "do not increase"),
        ("scale(zero)", "does not vary"),
        ("center(empty)", "all values are missing"),
        ("C(empty)", "all values are missing"),
        ("inf + center(inf)", "is infinite"),
        ("lgo + x", "did you mean"),
        ("scale(x) ~ g", "as the target"),
        ("g ~ x", "holds text"),
    ],
)
def test_what_cannot_be_learned_is_refused(text, words):
    found = columns(FRAME.assign(zero=1.0, empty=np.nan, inf=[1, 2, np.inf, 3, 4], log=1.0))
    with pytest.raises((DataError, UsageError, NotFound), match=words):
        learnt(text, found)


def test_unseen_is_one_of_four_words():
    with pytest.raises(UsageError, match="unseen='drop'"):
        learnt("g", columns(FRAME), unseen="drop")


@settings(max_examples=30)
@given(arrays(np.int64, 20, elements=st.integers(-(2**60), 2**60)), st.integers(1, 4))
def test_products_and_powers_keep_their_digits(values, degree):
    found = {"x": values, "z": values[::-1] / 7.0}
    encoder = learnt(f"x + x:z + I(x**{degree}) + I(x*z - z/3) + poly(x, {degree}, raw=True)", found)
    high, low = encoder.design(found)
    for row in range(20):
        x, z = Fraction(int(values[row])), Fraction(float(found["z"][row]))
        wanted = {"x": x, "x:z": x * z, f"I(x ** {degree})": x**degree, "I(x * z - z / 3)": x * z - z / 3}
        for k, name in enumerate(encoder.features):
            exact = wanted.get(name, x ** (int(name[-2]) + 1) if name[-1] == "]" else None)
            ours = Fraction(high[row, k]) + Fraction(0 if low is None else low[row, k])
            scale = abs(exact) if "/" not in name else abs(x * z) + abs(z)
            assert abs(ours - exact) <= scale * Fraction(1, 2**95), name


def test_what_is_stored_is_not_made_again():
    found = columns(FRAME)
    encoder = learnt("log(x + 1) ~ k + g:k + 2:x | b^g", found)
    assert encoder.features == ("k", "x", "g[T.b]:k", "g[T.c]:k")
    assert encoder.names == ("x", "g[T.b]:k", "g[T.c]:k", "log(x + 1)")
    high, _ = encoder.encode(found, {}, "rows", 0)
    np.testing.assert_array_equal(high[:, 3], np.log(FRAME.x + 1))
    np.testing.assert_array_equal(high[:, 0], 2 * FRAME.x)
    assert encoder.target == "log(x + 1)"
    assert encoder.absorbed == (("b", "g"),)
    assert encoder.columns == ("k", "x", "g", "b")
    assert encoder.without_target().columns == ("k", "x", "g")
    assert encoder.without_target().names == encoder.names[:-1]


@settings(max_examples=60)
@given(st.data())
def test_parts_of_terms_span_what_all_columns_span(data):
    """Patsy's promise: full column rank on balanced data, and the column space of the full coding."""
    count = data.draw(st.integers(1, 3))
    levels = data.draw(st.lists(st.integers(2, 3), min_size=count, max_size=count))
    number = data.draw(st.booleans())
    factors = count + number
    subsets = st.lists(st.integers(0, factors - 1), min_size=1, max_size=factors, unique=True).map(tuple)
    terms = sorted(data.draw(st.lists(subsets, min_size=1, max_size=4, unique_by=frozenset)), key=len)
    intercept = data.draw(st.booleans())
    grid = np.array(np.meshgrid(*[np.arange(k) for k in levels])).reshape(count, -1).repeat(3, axis=1)
    codings = [np.eye(k)[column] for k, column in zip(levels, grid, strict=True)]
    if number:
        codings.append(np.random.default_rng(0).normal(size=(grid.shape[1], 1)))

    def columns_of(choice):
        out = np.ones((grid.shape[1], 1))
        for k, reduced in choice:
            inner = codings[k][:, 1:] if reduced else codings[k]
            out = (out[:, :, None] * inner[:, None, :]).reshape(len(out), -1)
        return out

    start = [np.ones((grid.shape[1], 1))] * intercept
    spans = [True] * count + [False] * number
    made = np.hstack([*start, *(columns_of(p) for some in parts(terms, spans, intercept) for p in some)])
    whole = np.hstack([*start, *(columns_of([(k, False) for k in term]) for term in terms)])
    assert np.linalg.matrix_rank(made) == made.shape[1] == np.linalg.matrix_rank(np.hstack([made, whole]))
