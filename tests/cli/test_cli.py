"""Every command: what it prints, its exit codes, and one line for every mistake."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from rich.cells import cell_len

import streamreg as sr
from streamreg.cli import main
from streamreg.results.predict import predict_to


class Cli:
    """Call the command line in this process."""

    def __init__(self, capsys):
        self._capsys = capsys

    def __call__(self, *arguments, code=0):
        """Return standard output, or the error line if `code` is not 0 or 1."""
        self._capsys.readouterr()
        got = main([str(a) for a in arguments])
        out, err = self._capsys.readouterr()
        assert got == code, err
        if code in (0, 1):
            assert err == ""
            return out
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err


@pytest.fixture
def cli(capsys):
    return Cli(capsys)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    for name in ("a.h5", "a.zarr", "a.npy"):
        sr.generate(folder / name, rows=3000, columns=4, seed=5)
    return folder


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.npy"])
def test_fit_prints_a_table(cli, folder, name):
    out = cli("fit", folder / name, "--target", "y", "--rows", 2)
    assert f"linear fit of {folder / name}" in out
    assert "3,000" in out
    assert "x1" in out
    assert "... and 2 more coefficients" in out


def test_fit_prints_json_and_saves(cli, folder, tmp_path):
    out = json.loads(cli("fit", folder / "a.h5", "--target", "y", "--json", "--save", tmp_path / "fit.npz"))
    fit = sr.Linear().fit(sr.open(folder / "a.h5", target="y"))
    assert out["coef"] == fit.coef.tolist()
    assert out["status"] == "ok"
    assert out["passes"] == 1
    assert sr.FitResult.load(tmp_path / "fit.npz").coef.tolist() == out["coef"]


def test_fit_passes_options_on(cli, folder):
    out = json.loads(
        cli(
            "fit", folder / "a.h5", "--target", "y", "--x", "X", "--features", "x3, x1", "--ridge", 2, "--no-intercept",
            "--missing", "drop", "--threads", 1, "--weight-kind", "frequency", "--precision", "float64", "--digits", 8,
            "--singular", "drop", "--power", "x3=2", "--errors", "classical", "--json",
        )
    )  # fmt: skip
    assert out["names"] == ["x3", "x3^2", "x1"]
    assert out["has_intercept"] is False
    expected = sr.Linear(
        features=("x3", "x1"), ridge=2, intercept=False, missing="drop", weight_kind="frequency", precision="float64",
        digits=8, singular="drop", powers={"x3": 2}, errors="classical",
    )  # fmt: skip
    assert out["model"] == expected.to_dict()
    # The source's; what needs Keras; what stands in place of the others; what does not go with a ridge.
    apart = {"target", "device", "formula", "absorb", "singletons"}
    assert expected.model_fields_set == set(sr.Linear.model_fields) - apart, "the command lacks an option"


def test_names_with_commas_stand_in_quotes(cli, tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((50, 4)))
    (tmp_path / "a.npy.json").write_text(json.dumps({"columns": ["pay, net", "a", "b", "y"]}))
    out = json.loads(cli("fit", tmp_path / "a.npy", "--target", "y", "--features", 'b, "pay, net"', "--json"))
    assert out["names"] == ["b", "pay, net"]
    (tmp_path / "a.npy.json").write_text(json.dumps({"columns": [" a ", "a", "b", "y"]}))
    out = json.loads(cli("fit", tmp_path / "a.npy", "--target", "y", "--features", '" a ", b', "--json"))
    assert out["names"] == [" a ", "b"]


def named(path, names, rows=40):
    x = np.random.default_rng(3).normal(size=(rows, len(names)))
    np.save(path, x)
    path.with_name(path.name + ".json").write_text(json.dumps({"columns": names}), encoding="utf-8")
    return x


@pytest.mark.parametrize("name", ["an endless question " * 12, "名前" * 30, "two\nlines", "a\ttab", "\x1b[31mred"])
def test_names_of_any_kind_never_cut_the_numbers(cli, tmp_path, name):
    named(tmp_path / "a.npy", [name, "b", "y"])
    fit = sr.Linear().fit(sr.open(tmp_path / "a.npy", target="y"))
    out = cli("fit", tmp_path / "a.npy", "--target", "y")
    table = out.splitlines()
    assert "std error" in out
    assert len([line for line in table if "\x1b" in line or "\t" in line]) == 0
    numbers = [column.cells[1] for column in fit.table().columns[1:]]
    assert all(cell_len(line) <= 80 for line in table)
    assert any(all(n in line for n in numbers) for line in table)


def test_two_columns_of_one_name_are_told_with_their_file(cli, tmp_path):
    named(tmp_path / "a.npy", ["a", "b", "a"])
    assert "a.npy.json: two columns are called 'a', the first is column 0" in cli("inspect", tmp_path / "a.npy", code=3)


def test_moments_without_the_target_say_how_to_have_it(cli, folder, tmp_path):
    cli("scan", folder / "a.h5", "-o", tmp_path / "a.moments")
    error = cli("fit", tmp_path / "a.moments", "--target", "y", code=3)
    assert "no column 'y' in these moments; there is x0, x1, x2, x3; if it is stored apart" in error
    assert "scan again with target='y'" in error


@pytest.mark.parametrize("out", ["p.npy", "p.zarr"])
def test_a_folder_that_takes_no_files_is_named(cli, folder, tmp_path, monkeypatch, out):
    def refused(prefix, suffix, dir):
        raise PermissionError(13, "Permission denied", str(dir / f"{prefix}hidden{suffix}"))

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    error = cli("generate", tmp_path / out, "--rows", 5, "--columns", 2, code=3)
    assert f"nothing can be made in folder {str(tmp_path)!r} (Permission denied)" in error
    assert "hidden" not in error


def test_libraries_keep_their_warnings(tmp_path):
    sr.generate(tmp_path / "a.zarr", rows=30, columns=2)
    zarr.open_group(tmp_path / "a.zarr")["spare"] = np.zeros(3)
    (tmp_path / "a.zarr" / "spare" / "zarr.json").unlink()
    command = [sys.executable, "-m", "streamreg", "fit", str(tmp_path / "a.zarr"), "--target", "y"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_weights(cli, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.normal(size=(50, 3)))
    np.save(tmp_path / "w.npy", rng.uniform(1, 2, size=50))
    out = json.loads(cli("fit", tmp_path / "a.npy", "--target", "x2", "--weights", "w.npy", "--json"))
    expected = sr.Linear().fit(sr.open(tmp_path / "a.npy", target="x2", weights="w.npy"))
    assert out["coef"] == expected.coef.tolist()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit"], 2, "Missing argument"),
        (["fit", "{a}"], 2, "--target"),
        (["fit", "{a}", "--target", "y", "--colour", "red"], 2, "--colour"),
        (["fit", "{a}", "--target", "z"], 3, "no column or dataset 'z'"),
        (["fit", "{a}", "--target", "y", "--features", "x1,xx3"], 3, "no column 'xx3'; did you mean 'x3'?"),
        (["fit", "{a}", "--target", "y", "--features", "y"], 2, "'y' is the target and named once more"),
        (["fit", "{a}", "--target", "y", "--ridge", "-1"], 2, "ridge is -1.0; it should be greater than or equal to 0"),
        (
            ["fit", "{a}", "--target", "y", "--missing", "perhaps"],
            2,
            "missing is 'perhaps'; it should be 'error', 'drop'",
        ),
        (["fit", "{a}", "--target", "y", "--digits", "99"], 2, "digits is 99; it should be less than or equal to 15"),
        (["fit", "{a}", "--target", "y", "--features", 'x1,"x2'], 2, "is no list of names; write x1,x7, and a name"),
        (["fit", "{a}", "--target", "y", "--power", "x1"], 2, "write NAME=DEGREE"),
        (["fit", "{a}", "--target", "y", "--power", "x1=two"], 2, "powers.x1 is 'two'; it should be a valid integer"),
        (["fit", "{a}", "--target", "y", "--power", "x1=0"], 2, "powers of 'x1' up to 0; the degree is a whole number"),
        (["fit", "{a}", "--target", "y", "--save", "{a}"], 2, "it must end in .npz"),
        (["fit", "{a}", "--target", "y", "--rigde", "1"], 2, "--rigde"),
        (["fit", "{a}", "--target", "y", "--threads", "0"], 2, "--threads"),
        (["fit", "{a}", "--target", "y", "--missing-chunks", "guess"], 2, "missing_chunks is 'guess'"),
        (["fit", "{a}", "--target", "y", "--save", "{folder}/nowhere/a.npz"], 3, "no folder"),
        (["fit", "{folder}/b.h5", "--target", "y"], 3, "b.h5: no such file; did you mean 'a.h5'?"),
        (["fit", "{folder}/b.xlsx", "--target", "y"], 2, "the suffix '.xlsx' is not known"),
        (["inspect", "{folder}/b.h5"], 3, "no such file"),
        (["inspect", "{a}", "--x", "Y"], 3, "no dataset 'Y'"),
        (["generate", "{a}", "--rows", "3", "--columns", "2"], 2, "is there already; pass --force"),
        (["generate", "{folder}/b.h5", "--rows", "0", "--columns", "2"], 2, "rows is 0; it should be greater than 0"),
        (["generate", "{folder}/b.h5", "--rows", "many", "--columns", "2"], 2, "--rows"),
        (
            ["predict", "{a}", "{a}", "{folder}/p.h5"],
            3,
            "not a saved result or scan, or damaged (it is no archive of arrays)",
        ),
        (["predict", "{folder}/net.keras", "{a}", "{folder}/p.h5"], 3, "net.keras: no such file"),
        (["compare", "{folder}/b.npz", "{folder}/b.npz"], 3, "b.npz: no such file"),
        (["compare", "{a}", "{a}"], 2, "a fit comes from a .npz file"),
        (["run", "{folder}/b.yaml"], 2, "b.yaml: no such file"),
        (["frobnicate"], 2, "frobnicate"),
        (["fit", "{a}", "--target", "y", "--rigde", "1"], 2, "(streamreg fit --help tells more)"),
        (["fit", "{a}", "--target", "y", "--errors", "HC7"], 2, "--errors 'HC7': write classical, HC0, HC1, HC2"),
        (["fit", "{a}", "--target", "y", "--errors", "newey_west:x"], 2, "or newey_west:5"),
        (["fit", "{a}", "--target", "y", "--errors", "cluster:"], 2, "cluster:firm"),
    ],
)
def test_a_mistake_is_one_line(cli, folder, arguments, code, message):
    places = {"folder": str(folder), "a": str(folder / "a.h5")}
    assert message in cli(*(a.format(**places) for a in arguments), code=code)


def test_bad_data(cli, tmp_path):
    rows = np.ones((20, 3))
    rows[7, 1] = np.nan
    np.save(tmp_path / "a.npy", rows)
    error = cli("fit", tmp_path / "a.npy", "--target", "x2", code=3)
    assert "row 7 (from 0), column 'x1': NaN (a missing value); leave such rows out with" in error
    assert "(--missing drop), or fill them" in error
    (tmp_path / "b.h5").write_bytes((tmp_path / "a.npy").read_bytes())
    assert "not a readable HDF5 file" in cli("fit", tmp_path / "b.h5", "--target", "y", code=3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(cli, folder, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 3)))
    (tmp_path / "a.npy").chmod(0)
    assert "a.npy" in cli("fit", tmp_path / "a.npy", "--target", "x2", code=3)


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.npy"])
def test_inspect(cli, folder, name):
    out = cli("inspect", folder / name)
    assert "3,000 rows" in out
    assert "x0, x1, x2, x3" in out
    found = json.loads(cli("inspect", folder / name, "--target", "y", "--json"))
    assert found["rows"] == 3000
    assert found["columns"] == dict.fromkeys(["x0", "x1", "x2", "x3", "y"], "float64")
    assert found["nbytes"] == 3000 * 5 * 8
    assert found["partitions"] == 1
    assert sum(np.prod(d["shape"]) for d in found["datasets"]) == 3000 * 5


def test_inspect_reads_the_rows_if_asked(cli, tmp_path):
    table = {"a": np.array([1.0, np.nan, 3.0]), "g": np.array(["x", "y", "x"])}
    sr.convert(table, tmp_path / "a.parquet")
    assert (
        str(sr.profile(table)).splitlines()[-3:]
        == cli("inspect", tmp_path / "a.parquet", "--profile").splitlines()[-3:]
    )
    found = json.loads(cli("inspect", tmp_path / "a.parquet", "--profile", "--json"))
    assert found["rows"] == 3
    assert found["profile"] == json.loads(json.dumps(sr.profile(tmp_path / "a.parquet").to_dict()))


def test_inspect_tells_layouts(cli, tmp_path):
    sr.generate(tmp_path / "a.h5", rows=300, columns=2, chunk_rows=50, compression="gzip")
    sr.generate(tmp_path / "a.zarr", rows=300, columns=2, chunk_rows=50, compression="zstd")
    np.save(tmp_path / "f.npy", np.asfortranarray(np.ones((5, 3))))
    assert "chunks 50 x 2, gzip" in cli("inspect", tmp_path / "a.h5")
    assert "chunks 50 x 2, zstd, format 3" in cli("inspect", tmp_path / "a.zarr")
    assert "columns one after the other" in cli("inspect", tmp_path / "f.npy")


def test_inspect_lists_what_there_is_when_nothing_is_a_table(cli, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["age"], file["pay"] = np.ones(3), np.ones(3)
    found = json.loads(cli("inspect", tmp_path / "a.h5", "--json"))
    assert [d["name"] for d in found["datasets"]] == ["age", "pay"]
    assert "holds no two-dimensional dataset, but age (3,), pay (3,)" in found["note"]
    assert "store the features as a matrix" in cli("inspect", tmp_path / "a.h5").replace("\n", " ")
    assert "no two-dimensional dataset" in cli("fit", tmp_path / "a.h5", "--target", "pay", code=3)
    with h5py.File(tmp_path / "none.h5", "w"):
        pass
    assert "holds nothing; store" in cli("fit", tmp_path / "none.h5", "--target", "y", code=3)


def test_one_row_is_a_row(cli, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 3)))
    out = cli("inspect", tmp_path / "a.npy")
    assert "1 row x 3 columns" in out
    assert "in 1 partition." in out


def test_inspect_lists_what_there_is_when_several_matrices_could_be_meant(cli, tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"] = file["two"] = np.ones((3, 2))
    found = json.loads(cli("inspect", tmp_path / "a.h5", "--json"))
    assert [d["name"] for d in found["datasets"]] == ["one", "two"]
    assert found["rows"] is None
    assert "say which one" in found["note"]
    assert "say which one" in cli("inspect", tmp_path / "a.h5").replace("\n", " ")


def test_generate(cli, tmp_path):
    out = cli(
        "generate", tmp_path / "a.zarr", "--rows", 20, "--columns", 3, "--seed", 9, "--noise", 0.5,
        "--correlation", 0.3, "--dtype", "float32", "--chunk-rows", 7, "--compression", "zstd",
    )  # fmt: skip
    assert f"{tmp_path / 'a.zarr'}: 20 rows x 3 columns" in out
    assert json.loads((tmp_path / "a.zarr.json").read_text())["noise"] == 0.5
    options = ("--rows", 20, "--columns", 3, "--kind", "logistic", "--force", "--json")
    truth = json.loads(cli("generate", tmp_path / "a.zarr", *options))
    assert truth["kind"] == "logistic"


def test_compare(cli, folder, tmp_path):
    data = sr.open(folder / "a.h5", target="y")
    sr.Linear().fit(data).save(tmp_path / "a.npz")
    sr.Linear(ridge=5000.0).fit(data).save(tmp_path / "b.npz")
    assert "Verdict: agree" in cli("compare", tmp_path / "a.npz", tmp_path / "a.npz")
    out = cli("compare", tmp_path / "a.npz", tmp_path / "b.npz", code=1)
    assert "a against b" in out
    assert "Verdict: differ" in out
    assert json.loads(cli("compare", tmp_path / "a.npz", tmp_path / "b.npz", "--json", code=1))["verdict"] == "differ"
    assert "agree" in cli("compare", tmp_path / "a.npz", tmp_path / "b.npz", "--tolerance", 1e9)


def test_compare_shows_a_dropped_coefficient_as_a_dash(cli, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[:, 1] = x[:, 0] + 1
    np.save(tmp_path / "a.npy", x)
    for name, singular in (("short", "minimum-norm"), ("dropped", "drop")):
        options = ("--singular", singular, "--save", tmp_path / f"{name}.npz")
        cli("fit", tmp_path / "a.npy", "--target", "x2", *options)
    out = cli("compare", tmp_path / "short.npz", tmp_path / "dropped.npz")
    assert "nan" not in out
    assert [line.split()[2:] for line in out.splitlines() if line.split()[:1] == ["x1"]] == [["-", "-", "-"]]


def test_version_and_help(cli):
    assert cli("--version") == f"streamreg {sr.__version__}\n"
    assert "Exit codes" in cli("--help")
    assert cli() == cli("--help")
    for command in ("run", "fit", "inspect", "generate", "compare"):
        assert "For example" in cli(command, "--help")


def test_examples_of_the_help_can_be_copied(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = [line.strip() for line in cli("fit", "--help").splitlines()]
    assert "streamreg fit flights.zarr --x group/X --target group/delay --features x1,x7" in lines


def test_commands_come_in_the_order_of_use(cli):
    listed = cli("--help").split("Commands:\n")[1].splitlines()
    commands = [
        "generate",
        "inspect",
        "convert",
        "fit",
        "predict",
        "effects",
        "anova",
        "scan",
        "merge",
        "seal",
        "verify",
        "compare",
        "score",
        "table",
        "code",
        "init",
        "run",
        "schema",
    ]
    assert [line.split()[0] for line in listed] == commands
    assert not [line for line in listed if line.endswith("...")]


@pytest.mark.parametrize(
    ("redirection", "code", "out", "err"),
    [
        (">&-", 0, "", ""),
        ("--x Y 2>&-", 2, "", ""),
        pytest.param(
            ">/dev/full", 3, "", "error: standard output: No space left on device\n",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it"),
        ),
    ],
)  # fmt: skip
def test_streams_that_take_nothing(folder, redirection, code, out, err):
    command = f"{sys.executable} -m streamreg inspect {folder / 'a.npy'} {redirection}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_a_summary_shows_what_the_standard_error_and_the_digits_support(folder):
    fit = sr.Linear().fit(sr.open(folder / "a.h5", target="y"))

    def x0(of):
        return next(line for line in of.summary().splitlines() if line.strip().startswith("x0")).split()

    assert 0.01 < fit.std_errors[0] < 0.1  # so its third digit is the fourth decimal
    low, high = fit.conf_int()[0]
    assert x0(fit)[1:3] == [f"{fit.coef[0]:.4f}", f"{fit.std_errors[0]:.4f}"]
    assert x0(fit)[5:7] == [f"{low:.4f}", f"{high:.4f}"]
    doubted = replace(fit, digits=np.full(4, 2.4), digits_se=1.6)
    assert x0(doubted)[1:3] == [f"{fit.coef[0]:.2g}", f"{fit.std_errors[0]:.2f}"]
    assert x0(doubted)[-1] == "2"


def test_a_summary_calls_no_p_value_zero(folder):
    fit = sr.Linear().fit(sr.open(folder / "a.h5", target="y"))
    assert fit.f_pvalue == 0.0
    assert "(p < 1e-300)" in fit.summary()


def test_a_summary_tells_why_there_are_no_errors(cli, tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(3, 3)))
    out = cli("fit", tmp_path / "a.npy", "--target", "x2")
    assert "As many coefficients as rows" in out


def test_a_summary_counts_rows_left_out(cli, tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 3))
    rows[4, 0] = np.nan
    np.save(tmp_path / "a.npy", rows)
    out = cli("fit", tmp_path / "a.npy", "--target", "x2", "--missing", "drop")
    assert "\n1 row with missing values left out (x0: 1)." in out


def test_fit_that_did_not_converge_ends_with_1(cli, folder, monkeypatch):
    honest = sr.Linear.fit
    stuck = lambda *a, **k: replace(honest(*a, **k), status="not converged: raise epochs")  # noqa: E731
    monkeypatch.setattr(sr.Linear, "fit", stuck)
    assert "raise epochs" in cli("fit", folder / "a.h5", "--target", "y", code=1)


def test_interrupt(cli, folder, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sr.Linear, "fit", interrupted)
    assert cli("fit", folder / "a.h5", "--target", "y", code=130) == "error: interrupted\n"


def test_interrupt_while_the_command_line_is_loaded():
    code = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from streamreg.__main__ import main
sys.exit(main())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_a_bug_keeps_its_traceback(folder, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(sr.Linear, "fit", broken)
    with pytest.raises(ZeroDivisionError):
        main(["fit", str(folder / "a.h5"), "--target", "y"])


HEAVY = ["tensorflow", "keras", "dask", "distributed", "pyarrow", "h5py", "zarr", "numpy", "scipy", "pydantic", "yaml"]


def test_help_loads_nothing_heavy():
    code = f"""
import sys
from streamreg.__main__ import main
main(["--help"])
print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_the_module_runs_and_survives_a_closed_pipe(folder):
    command = [sys.executable, "-m", "streamreg", "inspect", str(folder / "a.h5"), "--json"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")
    assert json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["rows"] == 3000


def test_entry_point():
    try:
        found = [e.value for e in metadata.distribution("streamreg").entry_points]
    except metadata.PackageNotFoundError:
        pytest.skip("not installed")
    assert found == ["streamreg.__main__:main"]


@pytest.mark.keras
def test_predict_takes_networks(cli, folder, tmp_path):
    net, out = tmp_path / "net.keras", tmp_path / "p.npy"
    fit = sr.Keras(hidden=[3], epochs=1).fit(sr.open(folder / "a.h5", target="y"))
    fit.save(net)
    assert "3,000 predictions" in cli("predict", net, folder / "a.h5", out, "--threads", 2)
    with h5py.File(folder / "a.h5") as file:
        np.testing.assert_allclose(np.load(out), fit.predict(file["X"][:]), rtol=1e-9)
    with pytest.raises(sr.UsageError, match="a network predicts means, and has no link"):
        predict_to(tmp_path / "q.npy", fit, sr.open(folder / "a.h5"), "link")


@pytest.mark.parametrize("suffix", [".h5", ".zarr", ".npy"])
def test_predict_writes_the_fitted_values(cli, folder, tmp_path, suffix):
    saved, out = tmp_path / "fit.npz", tmp_path / f"p{suffix}"
    cli("fit", folder / "a.h5", "--target", "y", "--save", saved)
    assert "3,000 predictions" in cli("predict", saved, folder / "a.h5", out)
    values = {
        ".npy": lambda: np.load(out),
        ".h5": lambda: h5py.File(out)["prediction"][:],
        ".zarr": lambda: zarr.open_group(out, mode="r")["prediction"][:],
    }[suffix]()
    expected = sr.FitResult.load(saved).predict(sr.open(folder / "a.h5", target="y"))
    assert np.array_equal(values, expected)
    assert "is there already" in cli("predict", saved, folder / "a.h5", out, code=2)
    assert json.loads(cli("predict", saved, folder / "a.h5", out, "--force", "--json"))["rows"] == 3000
    assert "--missing" in cli("predict", saved, folder / "a.h5", out, "--missing", "fill", code=2)
    assert "none.h5" in cli("predict", saved, tmp_path / "none.h5", out, "--force", code=3)


def test_predict_never_replaces_the_rows_it_reads(cli, folder, tmp_path):
    saved, rows = tmp_path / "fit.npz", tmp_path / "rows.h5"
    rows.write_bytes((folder / "a.h5").read_bytes())
    cli("fit", rows, "--target", "y", "--save", saved)
    (tmp_path / "link.h5").symlink_to(rows)
    for out in (rows, tmp_path / "link.h5"):
        assert "holds the rows that predictions are made of" in cli("predict", saved, rows, out, "--force", code=2)
    assert rows.read_bytes() == (folder / "a.h5").read_bytes()


def test_fits_of_one_name_in_two_folders_are_scored_apart(cli, folder, tmp_path):
    (tmp_path / "old").mkdir()
    cli("fit", folder / "a.h5", "--target", "y", "--save", tmp_path / "line.npz")
    cli("fit", folder / "a.h5", "--target", "y", "--features", "x1", "--save", tmp_path / "old/line.npz")
    names = [str(tmp_path / "line.npz"), str(tmp_path / "old/line.npz")]
    card = json.loads(cli("score", folder / "a.h5", *names, "--json"))
    assert list(card["scores"]) == names


def test_inspect_tells_the_machine(cli):
    assert "kernel" in cli("inspect", "--system")
    assert json.loads(cli("inspect", "--system", "--json"))["streamreg"] == sr.__version__
    assert "which file?" in cli("inspect", code=2)


def test_a_target_is_asked_for_on_a_terminal_and_else_the_columns_are_listed(folder, cli, monkeypatch):
    command = ("fit", folder / "a.h5")
    assert "has the columns x0, x1, x2, x3" in cli(*command, code=2)
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    answers = iter(["x9", "x1"])
    monkeypatch.setattr("typer.prompt", lambda *a, **k: next(answers))
    assert main(["fit", str(folder / "a.h5")]) == 0


def test_quiet_prints_nothing_but_json_and_errors(folder, cli):
    command = ("fit", folder / "a.h5", "--target", "y")
    assert cli(*command, "--quiet") == ""
    assert json.loads(cli(*command, "--quiet", "--json"))["target"] == "y"
    assert "nowhere" in cli("fit", folder / "a.h5", "--target", "nowhere", "-q", code=3)
    assert cli(*command) != ""


def test_completion_and_no_colour(folder, monkeypatch):
    environment = os.environ | {"_STREAMREG_COMPLETE": "complete_bash", "COMP_WORDS": "streamreg sc", "COMP_CWORD": "1"}
    asked = [sys.executable, "-m", "streamreg"]
    found = subprocess.run(asked, env=environment, capture_output=True, text=True)
    assert found.stdout.split() == ["scan", "score", "schema"]
    environment = os.environ | {"FORCE_COLOR": "1"}
    asked += ["fit", str(folder / "a.h5"), "--target", "y"]
    assert "\x1b" not in subprocess.run(asked, env=environment, capture_output=True, text=True).stdout
