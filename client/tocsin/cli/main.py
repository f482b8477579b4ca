"""The `tocsin` command.

1. Nothing but cyclopts is imported here: each command's module is loaded when the command runs.
2. `tocsin.cli.exit_codes` lists the exit codes, and each command's help says when it uses which.
3. Results go to standard output; progress, warnings and errors to standard error. A terminal or locale that cannot show
   a character is shown its escape.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from cyclopts import App, CycloptsError, Parameter

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_CLIENT, _NODE, _FOUNDING = "Client", "Node", "Founding and keys"

# (import path, name, help, group), in the order of the help page.
_COMMANDS = (
    ("tocsin.cli.query:query", "query", "Screen your values: which did other members report?", _CLIENT),
    ("tocsin.cli.submit:submit", "submit", "Report values of your confirmed accounts.", _CLIENT),
    ("tocsin.cli.submit:retract", "retract", "Take back every live report of these values.", _CLIENT),
    ("tocsin.cli.dispute:dispute", "dispute", "Say that reports of your own value are wrong.", _CLIENT),
    ("tocsin.cli.submit:renew", "renew", "Renew your live reports in the current period.", _CLIENT),
    ("tocsin.cli.watch:watch", "watch", "Print matches as others report them, until interrupted.", _CLIENT),
    (
        "tocsin.cli.ingest:ingest",
        "ingest",
        "Extract values to screen and report from a gateway's logs.",
        _CLIENT,
    ),
    (
        "tocsin.cli.fingerprint:app",
        "fingerprint",
        "Explain and compare prompt templates' fingerprints.",
        _CLIENT,
    ),
    ("tocsin.cli.detect:app", "detect", "Score your accounts and explain the scores.", _CLIENT),
    (
        "tocsin.cli.campaigns:app",
        "campaigns",
        "Group flagged accounts into campaigns, and coordinate with who else sees them.",
        _CLIENT,
    ),
    ("tocsin.cli.flags:flags", "flags", "List what the detector flagged.", _CLIENT),
    ("tocsin.cli.review:app", "review", "Decide flags, at the keyboard or from a script.", _CLIENT),
    ("tocsin.cli.account:account", "account", "Show everything that is known about one account.", _CLIENT),
    ("tocsin.cli.forget:forget", "forget", "Remove an account from the casebook.", _CLIENT),
    (
        "tocsin.cli.report:app",
        "report",
        "Write a campaign's page; show what the federation gave you.",
        _CLIENT,
    ),
    ("tocsin.cli.case:app", "case", "Put a campaign's evidence into a folder for Legal.", _CLIENT),
    (
        "tocsin.cli.simulate:simulate",
        "simulate",
        "Run a simulated federation through the real detector.",
        _CLIENT,
    ),
    ("tocsin.cli.log:app", "log", "Verify the members' logs.", _CLIENT),
    ("tocsin.cli.evidence:app", "evidence", "Show, export and verify pieces of evidence.", _CLIENT),
    ("tocsin.cli.status:status", "status", "Show the state of your client and node.", _CLIENT),
    ("tocsin.cli.status:budget", "budget", "Show what is left of the evaluation budgets.", _CLIENT),
    ("tocsin.cli.types:types", "types", "List the types of values, with an example of each.", _CLIENT),
    ("tocsin.cli.node:app", "node", "Run a node, and export the proofs that it keeps.", _NODE),
    ("tocsin.cli.member:app", "member", "Make a member's keys, certificates and public card.", _FOUNDING),
    ("tocsin.cli.charter:app", "charter", "Draft, sign, show, verify and install charters.", _FOUNDING),
    ("tocsin.cli.keys:app", "keys", "Deal the class keys of the committee.", _FOUNDING),
    (
        "tocsin.cli.demo.command:demo",
        "demo",
        "Run a whole federation on this machine and show what it finds.",
        _FOUNDING,
    ),
)


def build(invoked: str | None = None) -> App:
    """Return the command line, every command registered and none imported.

    The command about to be invoked is registered without its line in the list, which would hide its own help.
    """
    app = App(
        name="tocsin",
        help="AI providers warn each other of abuse campaigns without showing each other user data.",
        # Markdown would cost a third of the time that `tocsin --help` may take.
        help_format="markdown" if any(invoked == name for _, name, _, _ in _COMMANDS) else "plaintext",
        version=_version,
        # No flag is on by default, and no list is worth an option that empties it.
        default_parameter=Parameter(negative=()),
        suppress_keyboard_interrupt=False,
    )
    for path, name, text, group in _COMMANDS:
        app.command(path, name=name, help=None if name == invoked else text, group=group)
    return app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors are printed once, without a traceback, where they are ours."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    _show_what_can_be_shown()
    try:
        result = build(next(iter(tokens), None))(
            tokens, exit_on_error=False, print_error=True, result_action="return_value"
        )
        sys.stdout.flush()
    except CycloptsError:
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201  nothing heavier may run now
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # the reader has what it wanted
        return 0
    except Exception as error:
        from tocsin.cli.exit_codes import report

        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return report(error)
    return result if isinstance(result, int) else 0


def main() -> None:
    """Run as the `tocsin` program."""
    sys.exit(run())


def _show_what_can_be_shown() -> None:
    # LC_ALL=C or PYTHONIOENCODING=ascii: a member's name in another script must not end a command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    # What is still buffered cannot be written; the interpreter must not fail on it again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    from importlib.metadata import version

    return version("tocsin")


if __name__ == "__main__":
    main()
