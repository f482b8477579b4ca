"""`tocsin watch`: matches as others report."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.matches import match_line
from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, counted, note, print_json_line, say, warn

if TYPE_CHECKING:
    from tocsin.client.errors import TocsinError
    from tocsin.client.results import Problem, Retraction


def watch(
    *,
    config: Config = DEFAULT_CONFIG,
    count: Annotated[int | None, Parameter(help="End after this many matches.")] = None,
    json: Json = False,
) -> int:
    """Print matches of values that you queried or reported before, as others report them, until interrupted.

    Resumes from the last match printed; a match is printed at least once. A retraction of what was matched before is
    printed too. With --json each is one line. The vault keeps no values, so a match names its value by `key`, as
    `Client.key_of` gives it.

    Example: tocsin watch --json >> matches.jsonl

    Exit codes: 0 after --count matches; 5 an answer did not verify; 130 interrupted.
    """
    from tocsin.cli.options import connect
    from tocsin.client.errors import Unavailable

    def on_outage(error: TocsinError) -> None:
        warn(f"{error}; trying again until it answers")

    def on_problem(problem: Problem) -> None:
        warn(f"skipped entry {problem.index} of {problem.writer_name}'s log: {problem.what}")

    def on_retraction(retraction: Retraction) -> None:
        if json:
            print_json_line(retraction.to_dict())
        else:
            say(f"{retraction.type}  {retraction.key.hex()}")
            say(
                f"  {retraction.writer_name} retracted entry {retraction.writer.hex()[:8]}:{retraction.index}"
            )
        sys.stdout.flush()

    with connect(config) as client:
        try:
            values, logs = client.watched()
            note(f"watching {counted(values, 'value')}, {counted(logs, 'log')}; Ctrl-C ends")
        except Unavailable:
            note("watching; Ctrl-C ends")
        watched = client.watch(on_problem=on_problem, on_outage=on_outage, on_retraction=on_retraction)
        for number, match in enumerate(watched, 1):
            if json:
                print_json_line(match.to_dict())
            else:
                say(f"{match.type}  {match.key.hex()}")
                say(f"  {match_line(match)}")
            # The cursor moves when the next match is asked for: what was printed must not wait in a buffer then.
            sys.stdout.flush()
            if number == count:
                return 0
    return 0
