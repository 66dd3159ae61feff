"""Signals end a command in one line, and --log says what goes on in lines of JSON."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import streamreg as sr
from streamreg.cli import main


@pytest.fixture
def path(tmp_path):
    sr.generate(tmp_path / "a.npy", rows=3000, columns=4, seed=5)
    return tmp_path / "a.npy"


def events(text):
    return [json.loads(line) for line in text.splitlines()]


def test_terminated_in_this_process(path, monkeypatch, capsys):
    monkeypatch.setattr(sr.Linear, "fit", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["fit", str(path), "--target", "y"]) == 143
    assert capsys.readouterr().err == "error: terminated\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_terminated_amid_a_scan(tmp_path):
    np.lib.format.open_memmap(tmp_path / "big.npy", "w+", "f8", (200_000_000, 2)).flush()  # zeros, which take no disk
    arguments = ["scan", "big.npy", "-o", "big.moments", "--log", "json"]
    with subprocess.Popen(
        [sys.executable, "-m", "streamreg", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        lines = [json.loads(process.stderr.readline()) for _ in range(2)]
        assert [line["event"] for line in lines] == ["start", "begin"]
        process.send_signal(signal.SIGTERM)
        rest = events(process.stderr.read())
        assert process.wait(timeout=20) == 143
    assert [line["event"] for line in rest][-2:] == ["error", "end"]
    assert (rest[-2]["message"], rest[-1]["code"]) == ("terminated", 143)
    assert [file.name for file in tmp_path.iterdir()] == ["big.npy"]


def test_log_has_one_event_a_line(path, capsys):
    assert main(["fit", str(path), "--target", "y", "--log", "json"]) == 0
    found = events(capsys.readouterr().err)
    assert [line["event"] for line in found] == ["start", "begin", "done", "end"]
    assert found[0]["command"] == "fit"
    assert found[2]["done"] == found[2]["total"] == 3000
    assert found[3]["code"] == 0
    assert main(["fit", str(path), "--target", "y"]) == 0
    assert capsys.readouterr().err == ""


def test_error_is_an_event_of_the_log(path, capsys):
    assert main(["fit", str(path), "--target", "z", "--log=json"]) == 3
    found = events(capsys.readouterr().err)
    assert [line["event"] for line in found] == ["start", "error", "end"]
    assert "no column 'z'" in found[1]["message"]


@pytest.mark.parametrize("command", ["fit", "predict", "scan", "compare", "score", "run"])
def test_commands_that_read_rows_have_a_log(command, capsys):
    assert main([command, "--help"]) == 0
    assert "--log json" in capsys.readouterr().out


def test_log_of_no_known_format(path, capsys):
    assert main(["fit", str(path), "--target", "y", "--log", "xml"]) == 2
    assert "--log is 'xml'" in capsys.readouterr().err


def test_command_line_in_another_thread(path):
    found = []
    thread = threading.Thread(target=lambda: found.append(main(["fit", str(path), "--target", "y"])))
    thread.start()
    thread.join()
    assert found == [0]
