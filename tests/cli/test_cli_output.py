"""What is printed for people: text from outside shows and does nothing else."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest

from tocsin.cli.exit_codes import report
from tocsin.cli.output import Cell, fail, note, print_json, print_table, progress, say, warn
from tocsin.client.errors import Unavailable

# Line ends, an escape sequence in both forms, the marks that turn the direction of writing, a lone surrogate.
HOSTILE = {
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\x08",
    "\x1b[2J": "\\x1b[2J",
    "\x9b2J": "\\x9b2J",
    "\x85": "\\x85",
    "\u2028": "\\u2028",
    **{chr(code): f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
    "\u200e": "\\u200e",
    "\u200f": "\\u200f",
    "\u061c": "\\u061c",
    "\udcff": "\\udcff",
}


COLUMNS = ("line", "entry", "名前")
ROWS = [("values.csv:3", ("first", "second"), "a\x1b[2Jb"), ("values.csv:12", "", "x" * 200)]


def printed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    width: int,
    rows: list[tuple[Cell, ...]],
) -> str:
    """Return what a terminal of this width is given, without the sequences that only style it."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    print_table(f"of {'/'.join(['folder'] * 20)}", COLUMNS, rows)
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)


def print_cell(text: str) -> None:
    print_table("t", ("a",), [(text,)])


def print_column(text: str) -> None:
    print_table("t", (text,), [("a",)])


def print_title(text: str) -> None:
    print_table(text, ("a",), [("a",)])


def print_failure(text: str) -> None:
    report(Unavailable(text))


def print_lines(text: str) -> None:
    fail("a node ended:", text)


def print_lines_of_a_cell(text: str) -> None:
    print_table("t", ("a",), [((text, "second"),)])


@pytest.mark.parametrize(
    "show",
    [
        say,
        warn,
        note,
        fail,
        print_cell,
        print_column,
        print_title,
        print_failure,
        print_lines,
        print_lines_of_a_cell,
    ],
)
def test_what_would_act_is_shown_escaped(
    show: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    show("plain Ünïcode 名前")
    out, err = capsys.readouterr()
    lines = (out + err).count("\n")
    assert "plain Ünïcode 名前" in out + err
    for hostile, shown in HOSTILE.items():
        show(f"a{hostile}b")
        out, err = capsys.readouterr()
        assert f"a{shown}b" in out + err
        assert hostile not in (out + err).replace("\n", "") or hostile == "\n"
        assert (out + err).count("\n") == lines


def test_a_cell_of_several_lines_is_given_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("t", ("a", "b"), [(("one", "two"), "x\ny")])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["one", "x\\ny"] in rows
    assert ["two"] in rows


def test_a_table_that_the_terminal_is_too_narrow_for_is_printed_row_by_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(monkeypatch, capsys, 40, ROWS) == (
        f"of {'/'.join(['folder'] * 20)}\n"
        "\n"
        "line   values.csv:3\n"
        "entry  first\n"
        "       second\n"
        "名前   a\\x1b[2Jb\n"
        "\n"
        "line   values.csv:12\n"
        "entry\n"
        f"名前   {'x' * 200}\n"
        "\n"
    )


def test_a_table_that_fits_stays_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ROWS[:1]
    header, rule, *_ = printed(monkeypatch, capsys, 300, rows).splitlines()[2:]
    assert header.split() == list(COLUMNS)
    width = len(rule.rstrip())
    assert printed(monkeypatch, capsys, width, rows).splitlines()[3].rstrip() == rule.rstrip()
    assert printed(monkeypatch, capsys, width - 1, rows).splitlines()[2] == "line   values.csv:3"
    assert printed(monkeypatch, capsys, 10, []).splitlines()[1:] == [""]


def test_line_ends_behind_a_result_are_blank_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say("words: a\n")
    assert capsys.readouterr().out == "words: a\n\n"


def test_what_is_noted_with_an_error_follows_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = Unavailable("the node does not serve; the end of its log:")
    error.add_note("first \x1b[2J")
    error.add_note("second")
    assert report(error) == 3
    assert capsys.readouterr().err == (
        "tocsin: the node does not serve; the end of its log:\n  first \\x1b[2J\n  second\n"
    )


def test_a_spinners_text_is_shown_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress("verifying a\u202eb's log"):
        pass
    assert "\u202e" not in capsys.readouterr().err


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "a\u202e\x9bb"})
    assert capsys.readouterr().out.isascii()
