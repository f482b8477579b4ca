"""What `tocsin ingest` and `tocsin fingerprint explain` say about files, outputs and states; how SIGTERM ends a run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path

import pytest

from tests.ingest import made_logs
from tocsin.cli.main import run


def told(capture: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run([str(argument) for argument in arguments])
    out, err = capture.readouterr()
    return code, out, err


def test_files_that_are_passed_over_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    made_logs.write(logs / "a.jsonl", made_logs.lines(1))
    for name in ("b.log", "c.log", "d.txt", "README"):
        (logs / name).write_text("{}\n")
    said = (
        "tocsin: warning: 4 files are skipped in the folders: .log (2), no ending (1), .txt (1); "
        "name those that are logs one by one\n"
    )
    code, out, err = told(capsys, "ingest", logs, logs, "--out", tmp_path / "o", "--workers", 2, "--json")
    assert (code, json.loads(out)["passed_over"], err.count(said)) == (0, 4, 1)
    code, _, err = told(capsys, "fingerprint", "explain", logs, "--account", "acct-0")
    assert (code, err.count(said)) == (0, 1)
    code, out, err = told(
        capsys, "ingest", logs / "a.jsonl", "--out", tmp_path / "p", "--workers", 1, "--json"
    )
    assert (code, json.loads(out)["passed_over"]) == (0, 0)
    assert "skipped" not in err


def test_logs_that_come_again_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1))
    other = made_logs.write(tmp_path / "b.jsonl", made_logs.lines(2))
    more = ("--state", tmp_path / "state", "--workers", 1)
    assert told(capsys, "ingest", one, other, "--out", tmp_path / "1", *more)[0] == 0
    with other.open("a") as file:
        file.write(made_logs.line("acct-1", "late", "hello there you") + "\n")
    code, out, _ = told(capsys, "ingest", one, other, "--out", tmp_path / "2", *more, "--json")
    found = json.loads(out)
    assert (code, found["exchanges"], found["read_before"], found["continued"]) == (0, 1, 1, 1)
    _, out, _ = told(capsys, "ingest", one, other, "--out", tmp_path / "3", *more)
    assert re.search(r"^ *files skipped, read before +2\b", out, re.MULTILINE)
    assert "files continued" not in out


def test_outputs_and_states_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1))
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    out = ("--out", tmp_path / "o")
    for arguments, what in (
        (("--out", tmp_path), f"{tmp_path} is a folder; name a file in it"),
        (("--out", logs), f"{logs} already exists; name a new file, existing files are never overwritten"),
        (("--out", logs / "o"), f"{logs}: cannot be written to (Not a directory)"),
        (("--out", tmp_path / "no" / "o"), f"{tmp_path / 'no'} does not exist; create it"),
        ((*out, "--state", logs), f"{logs}: is not a folder"),
        ((*out, "--state", open_to_all), f"{open_to_all} may be read by others (mode 0755); run: chmod 700"),
    ):
        code, said, err = told(capsys, "ingest", logs, *arguments)
        assert (code, said, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"tocsin: {what}")


def test_explain_says_what_it_cannot_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(2))
    code, _, err = told(capsys, "fingerprint", "explain", logs, "--account", "nobody")
    assert code == 1
    assert "the logs hold no exchange of this account" in err
    assert "template.local" not in err
    code, _, err = told(capsys, "fingerprint", "explain", logs, "--account", "acct-1")
    assert code == 0
    assert "refuses what many of them share (template.local)" in err
    assert "no exchange" not in err


def fed(file: FileIO) -> None:
    # A signal that comes between two reads of a pipe waits for the end of the next.
    for _ in range(400):
        file.write(b"\n")
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_a_run_and_leaves_nothing(tmp_path: Path, workers: int) -> None:
    # A run that reads a pipe goes on until the pipe ends.
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "tocsin.cli.main", "ingest", str(logs), str(pipe)]
    command += ["--out", str(tmp_path / "o.parquet")]
    command += ["--state", str(tmp_path / "state"), "--workers", str(workers)]
    run = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        with pipe.open("wb", buffering=0) as file:  # opens when somebody reads
            file.write(b"\n")
            assert list(tmp_path.glob(".tocsin-ingest-*"))
            run.send_signal(signal.SIGTERM)
            with pytest.raises(BrokenPipeError):  # whoever read it is gone
                fed(file)
        out, err = run.communicate(timeout=30)
    finally:
        with suppress(ProcessLookupError):  # nobody is left of its group, which is as it should be
            os.killpg(run.pid, signal.SIGKILL)
    assert (run.returncode, out, err) == (143, "", "tocsin: ended by SIGTERM\n")
    assert not list(tmp_path.glob(".tocsin-ingest-*"))
    assert not (tmp_path / "o.parquet").exists()
    assert not list((tmp_path / "state" / "samples").iterdir())
