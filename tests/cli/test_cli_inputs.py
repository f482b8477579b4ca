"""Input as analysts really give it, and output as pipes really take it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.session import RESALE, Session, terminal
from tocsin.cli.inputs import MAX_LINE, BadInput, BadLine, Row, no_such_type, read_inputs
from tocsin.cli.output import print_table, progress
from tocsin.client import Client

__all__ = ["terminal"]


def standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes, encoding: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding=encoding))


def values(found: list[Row | BadLine]) -> list[str]:
    return [row.value for row in found if isinstance(row, Row)]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize(
    "text", ["type,value\r\ncontact.email,mü@x.org\r\n", '{"type":"contact.email","value":"mü@x.org"}\n']
)
def test_standard_input_is_utf8_with_or_without_a_mark_in_every_locale(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str
) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        standard_input(monkeypatch, mark + text.encode(), encoding)
        assert values(list(read_inputs(["-"]))) == ["mü@x.org"]


def test_standard_input_in_another_encoding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input(monkeypatch, "type,value\ncontact.email,mü@x.org\n".encode("latin-1"), "latin-1")
    with pytest.raises(BadInput, match="not UTF-8"):
        list(read_inputs(["-"]))


def test_standard_input_that_is_closed_or_named_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input(monkeypatch, b"type,value\n", "utf-8")
    with pytest.raises(BadInput, match="standard input"):
        list(read_inputs(["-", "-"]))
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(BadInput, match="closed"):
        list(read_inputs(["-"]))


def test_a_pipe_is_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("type,value\ncontact.email,a@x.org\n",))
    writer.start()
    assert values(list(read_inputs([str(pipe)]))) == ["a@x.org"]
    writer.join()


def test_a_long_value_with_a_mistyped_type_is_not_repeated(terminal: Session) -> None:
    code, out, err = terminal(0, "query", "client.tool=" + "SECRET" * 1_000)
    assert (code, out) == (2, "")
    assert "SECRET" not in err


def test_a_quote_that_is_never_closed_hides_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "v.csv"
    file.write_text('type,value\nnet.ipv4,9.9.9.9\ncontact.email,"a@x.org\ncontact.email,b@x.org\n')
    with pytest.raises(BadInput, match=r":3: a quote is opened and never closed"):
        list(read_inputs([str(file)]))


def test_a_line_that_is_not_csv_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "v.csv"
    file.write_text('type,value\ncontact.email,"a@x.org"SECRET\ncontact.email,b@x.org\n')
    found = list(read_inputs([str(file)]))
    assert values(found) == ["b@x.org"]
    (bad,) = (row for row in found if isinstance(row, BadLine))
    assert (bad.line, "SECRET" in str(bad)) == (2, False)


def test_a_line_without_end_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    file.write_text('{"type":"contact.email","value":"a@x.org"}\n{' + " " * (MAX_LINE + 1))
    with pytest.raises(BadInput, match="more than"):
        list(read_inputs([str(file)]))


@pytest.mark.parametrize("index", ["-1", str(2**64)])
def test_an_index_that_cannot_be_is_bad_usage(terminal: Session, tmp_path: Path, index: str) -> None:
    member = terminal.world.homes[1].id.hex()
    arguments = ("--writer", member, "--index", index, "--out", str(tmp_path / "out"))
    code, _, err = terminal(0, "evidence", "export", *arguments)
    assert (code, "--index counts from 0" in err) == (2, True)


def test_a_pin_of_another_length_is_bad_usage(terminal: Session, tmp_path: Path) -> None:
    code, _, err = terminal(0, "evidence", "verify", str(tmp_path), "--pin", "abcd")
    assert (code, "--pin must be 64 hex digits" in err) == (2, True)


def test_a_printed_match_is_out_before_the_cursor_moves(
    terminal: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(0, "query", "contact.email=mallory@example.com")
    terminal(1, "submit", "contact.email=mallory@example.com", *RESALE)
    raw = io.BytesIO()
    buffered = io.TextIOWrapper(io.BufferedWriter(raw, 1 << 16), "utf-8")
    seen: list[bytes] = []
    original = Client.watch

    def watch(self: Client, **options: object) -> object:
        yield next(original(self, **options))  # type: ignore[arg-type] # passed through
        seen.append(raw.getvalue())

    monkeypatch.setattr(Client, "watch", watch)
    monkeypatch.setattr("sys.stdout", buffered)
    terminal(0, "watch")
    assert terminal.world.homes[1].name.encode() in seen[0]


def test_a_members_name_is_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table("[/red]", ("a",), [("[/b]",)])
    assert "[/red]" in capsys.readouterr().out
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress("verifying [/red]'s log") as advance:
        advance(1)


def test_results_that_cannot_be_written_are_one_clear_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tocsin.cli.main", "member", "init", str(tmp_path / "m"),
             "--federation", "a.example", "--name", "A", "--endpoint", "127.0.0.1:1"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "tocsin: No space left on device\n")


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_file_with_other_separators_is_named_as_such(tmp_path: Path, separator: str, name: str) -> None:
    file = tmp_path / "v.csv"
    file.write_text(separator.join(("account", "type", "value")) + "\n")
    with pytest.raises(BadInput, match=f"separated by {name}, not by commas; save it as CSV with commas"):
        list(read_inputs([str(file)]))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_as_such_with_the_command_that_converts_it(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "v.csv"
    file.write_bytes("type,value\ncontact.email,a@x.org\n".encode(encoding))
    with pytest.raises(BadInput, match=r"is UTF-16, not UTF-8; convert it, .* iconv -f UTF-16 -t UTF-8"):
        list(read_inputs([str(file)]))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("email", "contact.email"),
        ("IBAN", "payment.iban"),
        ("contact.emial", "contact.email"),
        ("ipv4", "net.ipv4"),
        ("prompt.templates", "prompt.template"),
    ],
)
def test_a_type_that_does_not_exist_is_named_with_the_one_that_is_meant(name: str, meant: str) -> None:
    assert no_such_type(name) == f"type `{name}` does not exist; did you mean {meant}?"


@pytest.mark.parametrize(
    "value", ["mallory@example.com", "GB33BUKB20201555555555", "198.51.100.7", "hunter2"]
)
def test_a_value_where_a_type_is_expected_is_not_repeated(value: str) -> None:
    assert value not in no_such_type(value)
