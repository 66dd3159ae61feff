"""Filters: the same rows as an evaluation one by one, of the same meaning in every storage, and nothing of them run."""

import itertools
import operator
import random
from ast import literal_eval
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from storages import MAKERS, table

import streamreg as sr
from streamreg.errors import NotFound, UsageError
from streamreg.kernels.rowhash import fold_numbers
from streamreg.sources.filters.source import FilteredSource, UnreadPartition

N = 3000


def held(rows: int = N, seed: int = 3) -> pa.Table:
    """Return a table of columns of all kinds, sorted by `when`, with holes."""
    rng = np.random.default_rng(seed)
    hole = [pa.array(rng.random(rows) < 0.1) for _ in range(5)]
    days = np.sort(rng.integers(0, 2000, rows)).astype("M8[D]")
    columns = {
        "when": pa.array(days),
        "stamp": pa.array((days.astype("M8[us]").astype(np.int64) + rng.integers(0, 3, rows)).astype("M8[us]")),
        "berlin": pa.array(days.astype("M8[s]").astype(np.int64), pa.timestamp("s", "Europe/Berlin")),
        "x": pa.array(np.where(rng.random(rows) < 0.1, np.nan, np.round(rng.normal(size=rows), 1))),
        "f4": pa.array(np.round(rng.normal(size=rows), 1).astype(np.float32)),
        "k": pc_if(hole[0], pa.array(rng.integers(-3, 4, rows))),
        "big": pc_if(hole[1], pa.array(2**53 + rng.integers(0, 4, rows))),
        "u": pa.array(rng.integers(0, 3, rows).astype(np.uint64) + np.uint64(2**63)),
        "flag": pa.array(rng.random(rows) < 0.5),
        "maybe": pc_if(hole[2], pa.array(rng.random(rows) < 0.5)),
        "carrier": pc_if(hole[3], pa.array(rng.choice(["AA", "UA", "", "it's"], rows))),
        "other": pc_if(hole[4], pa.array(rng.choice(["UA", "AA", "x"], rows))),
        "odd name": pa.array(rng.normal(size=rows)),
        "y": pa.array(rng.normal(size=rows)),
    }
    return pa.table(columns)


def pc_if(hole: pa.Array, values: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.if_else(hole, pa.scalar(None, values.type), values)


def mask(source: Any) -> np.ndarray:
    """Return which rows pass."""
    names = source.schema.names[-1:]
    chunks = [c for part in source.partitions(columns=names) for c in part.chunks(100)]
    return np.concatenate([np.ones(len(c), bool) if c.passed is None else c.passed for c in chunks])


# Conditions at random, as text and as a function of one row, whose values are None where they are missing.

SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
CONSTANTS = {
    "x": ["0", "0.5", "-0.1", "1"],
    "f4": ["0", "0.5", "-0.1"],
    "k": ["0", "-2", "1.5", "10000000000000000000000", "2.0"],
    "big": ["9007199254740993", "9007199254740992.0", "-1"],
    "u": ["9223372036854775809", "-1", "0.5"],
    "flag": ["1", "True", "0"],
    "maybe": ["True", "0.5"],
    "carrier": ["'AA'", '"it\'s"', "''", "'zz'"],
    "other": ["'AA'", "'x'"],
    "when": ["'1972-01-05'", "'1972-01-05T12:00'", "'1960-01-01'"],
    "stamp": ["'1972-01-05'", "'1972-01-05 00:00:00.000001'"],
    "berlin": ["'1972-01-05'", "'1972-01-05T01:00+01:00'", "'1972-01-05T00:00:00Z'"],
}


def constant(name: str, text: str) -> Any:
    if name not in ("when", "stamp", "berlin"):
        return literal_eval(text)
    found = datetime.fromisoformat(literal_eval(text))
    if name == "berlin":
        shift = found.utcoffset() or timedelta(hours=1)  # that of winter
        if found.tzinfo is not None and not found.utcoffset():
            shift = timedelta(0)
        return found.replace(tzinfo=None) - shift
    return found


def condition(rng: random.Random, depth: int) -> tuple[str, Any]:
    """Return a condition, and what gives its answer for a row: True, False or None."""
    if depth and rng.random() < 0.7:
        kind = rng.choice(["and", "or", "not"])
        one, test = condition(rng, depth - 1)
        if kind == "not":
            return f"not ({one})", lambda row: None if (t := test(row)) is None else not t
        two, other = condition(rng, depth - 1)
        stop = kind == "or"

        def joined(row: Any) -> Any:
            found = [test(row), other(row)]
            return stop if stop in found else None if None in found else not stop

        return f"({one}) {kind} ({two})", joined
    name = rng.choice(list(CONSTANTS))
    kind = rng.choice(["compare", "in", "missing", "column", "sum", "chain"])
    signs = ["==", "!="] if name in ("carrier", "other") else list(SIGNS)
    sign = rng.choice(signs)
    if kind == "missing":
        no = rng.random() < 0.5
        return f"{name} is {'not ' * no}missing", lambda row: (row[name] is None) != no
    if kind == "in":
        texts = rng.choices(CONSTANTS[name], k=2)
        values = [constant(name, text) for text in texts]
        no = rng.random() < 0.5
        return (
            f"{name} {'not ' * no}in ({', '.join(texts)})",
            lambda row: None if row[name] is None else (row[name] in values) != no,
        )
    if kind == "column":
        a, b = rng.choice([("x", "f4"), ("k", "big"), ("k", "x"), ("carrier", "other"), ("when", "stamp")])
        sign = rng.choice(["==", "!="] if a == "carrier" else list(SIGNS))
        return f"{a} {sign} {b}", lambda row: None if row[a] is None or row[b] is None else SIGNS[sign](row[a], row[b])
    if kind == "sum":
        sign = rng.choice(list(SIGNS))
        return (
            f"x + 2 * k - 1 {sign} -f4 % 3",
            lambda row: (
                None
                if row["x"] is None or row["k"] is None
                else SIGNS[sign](float(row["x"]) + 2 * row["k"] - 1, float(np.mod(-float(row["f4"]), 3)))
            ),
        )
    text = rng.choice(CONSTANTS[name])
    value = constant(name, text)
    if kind == "chain" and "<" in signs:
        return f"{text} <= {name} < {text}", lambda row: None if row[name] is None else False
    turned = rng.random() < 0.2
    shown = f"{text} {sign} {name}" if turned else f"{name} {sign} {text}"
    sides = (lambda v: (value, v)) if turned else (lambda v: (v, value))
    return shown, lambda row: None if row[name] is None else SIGNS[sign](*sides(row[name]))


def as_rows(found: pa.Table) -> list[dict[str, Any]]:
    columns = {}
    for name in found.column_names:
        values = found[name].to_pylist()
        if name == "when":
            values = [datetime(v.year, v.month, v.day) for v in values]
        elif name == "berlin":
            values = [v.replace(tzinfo=None) - v.utcoffset() for v in values]
        elif name in ("x", "f4"):
            values = [None if v != v else Fraction(v) for v in values]
        columns[name] = values
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_conditions_hold_where_they_do_row_by_row(tmp_path: Path) -> None:
    rng, found = random.Random(1), held(700)
    rows = as_rows(found)
    pq.write_table(found, tmp_path / "a.parquet", row_group_size=64)
    sources = [sr.open(found), sr.open(tmp_path / "a.parquet")]
    some = skipped = 0
    for _ in range(250):
        text, test = condition(rng, 2)
        expected = np.array([test(row) is True for row in rows])
        for source in sources:
            kept = FilteredSource(source, text)
            np.testing.assert_array_equal(mask(kept), expected, err_msg=text)
        for a, b in kept.unread():
            skipped += b - a
        some += 0 < expected.sum() < len(rows)
    assert some > 100
    assert skipped > 10_000


HOSTILE = [
    "__import__('os').system('x')",
    "x.__class__ == 1",
    "x > 0 or open('/etc/passwd').read() == ''",
    "(lambda: 1)() == x",
    "[a for a in (1,)] == x",
    "x == (y := 3)",
    "f'{x}' == carrier",
    "x[0] > 1",
    "x if x else y",
    "exec('1') == 1",
    "x > 0; import os",
    "x > 0 #",
    "x > 0\nimport os",
    "@x > 0",
    "x @ y > 0",
    "x and y.real",
    "`x` > `y`.real",
    "carrier in (open, 1)",
    "carrier in open",
    "b'x' == carrier",
    "x > ...",
    "x > 1j",
    "{1: 2} == x",
    "*x > 1",
    "await x",
    "yield x",
    "x := 1",
    "not",
    "",
    "   ",
    "x > 10 ** 10",
    "9**9**9 > x",
    "x << 3 > 1",
    "x // 2 > 1",
    "~flag",
    "x > 1e400",
    "(" * 300 + "x" + ")" * 300 + " > 1",
    "not " * 5000 + "flag",
    "x" + " + x" * 50_000 + " > 1",
    "x > '" + "a" * 200_000,
    "'it''s' == carrier",
    "carrier == 'a' 'b'",
    "x\0 > 1",
    "1 < 2",
    "True",
    "True and x > 1",
    "missing",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:25]))
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises((UsageError, NotFound)) as told:
        sr.open(held(5), where=text)
    assert len(str(told.value)) < 500


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("carier == 'AA'", r"no column 'carier'; did you mean 'carrier'\?"),
        ("carrier == 3", r"'carrier', which holds text, is compared with the number 3; write '3' in quotes"),
        ("k == '3'", r"'k', which holds numbers, is compared with the text '3'; leave the quotes out"),
        ("when > 3", "'when', which holds dates, is compared with the number 3"),
        ("when > '3'", "'when' holds dates, and is compared with '3'; write dates as"),
        ("when > '2020-02-30'", "write dates as '2020-01-31'"),
        ("when > '2020-01-01T00:00Z'", "has no time zone"),
        ("carrier < 'B'", "text can be == or != only"),
        ("carrier + 1 > 2", "computes with column 'carrier', which holds text"),
        ("carrier", "stands where something is true or false"),
        ("k and x > 1", "'k', which holds numbers, stands where"),
        ("x > carrier", "'x', which holds numbers, is compared with column 'carrier', which holds text"),
        ("x = 3", "equality is written =="),
        ("x > 3 AND k < 3", "and, or, not, in, is missing are written small"),
        ("x == None", "write x is missing"),
        ("x is 3", "write x is missing"),
    ],
)
def test_errors_say_what_is_wrong(text: str, told: str) -> None:
    with pytest.raises((UsageError, NotFound), match=told):
        sr.open(held(5), where=text)


def test_names_in_backquotes_and_lines() -> None:
    found = held()
    wanted = np.asarray(found["odd name"]) > 0
    np.testing.assert_array_equal(mask(sr.open(found, where="\n  `odd name` > 0\n  and `odd name` < 1e9\n")), wanted)


def test_no_row_passes() -> None:
    with pytest.raises(sr.DataError, match="of 3,000 rows none passes where='x > 100'"):
        sr.Linear(target="y", features=("x",)).fit(sr.open(held(), where="x > 100"))


# Above the filter everything goes on as if the other rows were missing.

WHERE = "x0 > -10 and y < 1 and (x1 > 0 or x2 >= 5)"


@pytest.mark.parametrize("name", MAKERS, ids=lambda name: name.replace(" ", "-"))
def test_the_same_bits_from_every_storage(name: str, tmp_path: Path) -> None:
    x, y = table("f8")
    wanted = (x[:, 0] > -10) & (y < 1) & ((x[:, 1] > 0) | (x[:, 2] >= 5))
    source = MAKERS[name](tmp_path, x, y)
    where = WHERE.replace("y <", f"`{source.roles.target}` <")
    fit = sr.Linear().fit(sr.open(source, where=where), threads=2, progress=False)
    holes = np.where(wanted[:, None], x, np.nan)
    expected = sr.Linear(missing="drop").fit((holes, y), threads=1, progress=False)
    np.testing.assert_array_equal(fit.coef, expected.coef)
    np.testing.assert_array_equal(fit.std_errors, expected.std_errors)
    (part,) = fit.provenance["sources"]
    assert (fit.n, part["rows"], part["filtered"]) == (wanted.sum(), len(x), (~wanted).sum())
    assert part["rows"] == part["used"] + part["missing"] + part["filtered"] + part["left_out"]
    assert fit.provenance["where"].endswith(where if " filtered" not in name else f"({where})")
    assert f"{(~wanted).sum():,} rows left out by where: " in fit.summary()


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sorted Parquet file of many row groups."""
    path = tmp_path_factory.mktemp("trips") / "trips.parquet"
    found = held(150_000)
    pq.write_table(found.sort_by("when"), path, row_group_size=5000)
    return path


LATE = "when >= '1974-06-01' and carrier != 'UA'"


def kept(path: Path) -> pa.Table:
    import pyarrow.compute as pc

    found = pq.read_table(path)
    return found.filter(
        pc.and_(pc.greater_equal(found["when"], date(1974, 6, 1)), pc.not_equal(found["carrier"], "UA"))
    )


def test_row_groups_in_which_no_row_can_pass_are_not_read(trips: Path, tmp_path: Path) -> None:
    source = sr.open(trips, where=LATE)
    parts = source.partitions(1024, ("y",))
    unread = [part for part in parts if isinstance(part, UnreadPartition)]
    assert source.unread()[0][0] == 0
    assert sum(b - a for a, b in source.unread()) > 100_000
    assert len(source.unread()) == 1
    for year in (2019, 2020):
        (tmp_path / f"year={year}").mkdir()
        pq.write_table(held(2000, year), tmp_path / f"year={year}" / "a.parquet")
    years = sr.open(tmp_path, where="year == 2020")
    assert years.unread() == [(0, 2000)]
    assert mask(years).sum() == 2000
    assert 0 < len(unread) < len(parts)
    for year in (2019, 2020):
        (tmp_path / "csv" / f"year={year}").mkdir(parents=True)
        (tmp_path / "csv" / f"year={year}" / "a.csv").write_text("y,x\n" + "1,2\n3,4\n" * (year - 2018))
    years = sr.open(tmp_path / "csv", where="year == 2020")
    assert years.unread() == [(0, 2)]
    assert mask(years).tolist() == [False] * 2 + [True] * 4


def test_formulas_learn_of_the_rows_that_pass(trips: Path) -> None:
    formula = "y ~ center(x) + C(carrier) + poly(k, 2)"
    fit = sr.Linear(formula=formula, missing="drop").fit(sr.open(trips, where=LATE))
    alone = sr.Linear(formula=formula, missing="drop").fit(kept(trips))
    assert fit.names == alone.names
    assert not any("UA" in name for name in fit.names)
    np.testing.assert_allclose(fit.coef, alone.coef, rtol=1e-11)
    logs = sr.Linear(formula="y ~ log(x)", missing="drop").fit(sr.open(trips, where="x > 0"))
    assert logs.n == logs.n_read - logs.provenance["sources"][0]["filtered"]


def test_errors_name_rows_of_the_file(tmp_path: Path) -> None:
    found = {"a": np.arange(50.0), "y": np.arange(50.0), "w": np.ones(50)}
    found["a"][[3, 41]] = np.inf
    with pytest.raises(sr.DataError, match="row 41 "):
        sr.Linear(target="y", features=("a",)).fit(sr.open(found, where="y > 10"))
    with pytest.raises(sr.DataError, match="row 41 "):
        sr.Linear(formula="y ~ sqrt(40 - y)").fit(sr.open(found, where="y > 10"))
    found["w"][[3, 20]] = -1.0
    weighted = sr.open(found, target="a", weights="w", features=("y",), where="y > 10 and y < 40")
    with pytest.raises(sr.DataError, match="row 20 "):
        sr.Linear().fit(weighted)


def test_folds_are_those_of_the_rows_numbers(trips: Path) -> None:
    passed = mask(sr.open(trips, where=LATE))
    moments = sr.scan(sr.open(trips, where=LATE), ("odd name",), target="y", folds=5)
    numbers = fold_numbers(0, len(passed), 5)[passed]
    assert {k: part.n for k, part in moments.groups.items()} == dict(enumerate(np.bincount(numbers).tolist()))


def test_groups_clusters_and_absorbed_effects(trips: Path) -> None:
    source, alone = (
        sr.open(trips, where=LATE + " and k is not missing"),
        kept(trips).filter(pa.compute.field("k").is_valid()),
    )
    for options in ({"errors": {"cluster": ("k",)}}, {"absorb": ("k",)}, {"errors": "HC3"}):
        one, two = (sr.Linear(target="y", features=("odd name",), **options).fit(data) for data in (source, alone))
        np.testing.assert_allclose(one.coef, two.coef, rtol=1e-10)
        np.testing.assert_allclose(one.std_errors, two.std_errors, rtol=1e-10)
    one, two = (sr.fit_by(sr.Linear(target="y", features=("odd name",)), d, "carrier") for d in (source, alone))
    assert list(one) == list(two)
    assert [fit.n for fit in one.values()] == [fit.n for fit in two.values()]
    one, two = (sr.Glm(target="flag", features=("odd name",), family="binomial").fit(d) for d in (source, alone))
    np.testing.assert_allclose(one.coef, two.coef, rtol=1e-9)


def test_moments_remember_the_filter(trips: Path, tmp_path: Path) -> None:
    found = pq.read_table(trips)
    path = tmp_path / "grown.parquet"
    pq.write_table(found.slice(0, 130_000), path, row_group_size=5000)
    old = sr.scan(sr.open(path, where=LATE), ("odd name",), target="y")
    old.save(tmp_path / "a.moments")
    pq.write_table(found, path, row_group_size=1000)
    grown = sr.append(tmp_path / "a.moments", path)
    whole = sr.scan(sr.open(path, where=LATE), ("odd name",), target="y")
    assert (grown.n, grown.n_read) == (whole.n, whole.n_read)
    assert grown.record.where == LATE
    assert grown.record.parts[0].filtered == whole.record.parts[0].filtered
    np.testing.assert_allclose(sr.Linear().fit(grown).coef, sr.Linear().fit(whole).coef, rtol=1e-12)
    with pytest.raises(UsageError, match="is not the same; leave it out"):
        sr.append(tmp_path / "a.moments", sr.open(path, where="x > 0"))
    shuffled = found.take(np.random.default_rng(0).permutation(len(found)))
    pq.write_table(shuffled, path, row_group_size=1000)
    with pytest.raises(sr.DataError, match="not those that were scanned"):
        sr.append(tmp_path / "a.moments", path)


def test_seals_hold_below_a_filter(trips: Path) -> None:
    from streamreg.engines.serial import Serial
    from streamreg.scans import seal

    seal.write(sr.open(trips), seal.read(sr.open(trips), Serial()))
    try:
        fit = sr.Linear(target="y", features=("odd name",)).fit(sr.open(trips, where=LATE))
        assert fit.n == len(kept(trips))
    finally:
        trips.with_name(trips.name + ".seal").unlink()


def test_predictions_stay_beside_their_rows(trips: Path) -> None:
    source = sr.open(trips, where=LATE)
    fit = sr.Linear(target="y", features=("odd name",)).fit(source)
    found = fit.predict(source)
    np.testing.assert_array_equal(np.isfinite(found), mask(source))
    np.testing.assert_array_equal(found[mask(source)], fit.predict(sr.open(trips))[mask(source)])
    card = sr.score({"line": fit}, source)
    assert card.n == fit.n


def test_a_filter_of_a_filter(trips: Path) -> None:
    twice = sr.open(sr.open(trips, where="x > 0"), where="k > 0")
    np.testing.assert_array_equal(mask(twice), mask(sr.open(trips, where="x > 0 and k > 0")))
    assert twice.where == "(x > 0) and (k > 0)"


def test_a_break_does_not_matter(trips: Path, tmp_path: Path) -> None:
    from streamreg.scans.checkpoint import Checkpoint
    from streamreg.scans.run import Run

    def scan(where: str, stop: int | None = None) -> Any:
        run = Run.of(None, "serial", False)
        calls = itertools.count()

        class Broken(Checkpoint):
            def next(self, *args: Any) -> Any:
                found = super().next(*args)
                real = found.save

                def save(*given: Any) -> None:
                    real(*given)
                    if stop is not None and next(calls) == stop:
                        raise KeyboardInterrupt

                found.save = save  # type: ignore[method-assign]
                return found

        import dataclasses

        run = dataclasses.replace(run, checkpoint=Broken(tmp_path / "kept", 0.0))
        return sr.scan(sr.open(trips, where=where), ("odd name", "f4"), engine=run, target="y")

    with pytest.raises(KeyboardInterrupt):
        scan("x > 0", stop=1)
    with pytest.raises(UsageError, match="another where"):
        scan("x > 0.5")
    again, whole = scan("x > 0"), sr.scan(sr.open(trips, where="x > 0"), ("odd name", "f4"), target="y")
    np.testing.assert_array_equal(sr.Linear().fit(again).coef, sr.Linear().fit(whole).coef)
    assert again.record == whole.record
