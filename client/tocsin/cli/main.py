"""The `tocsin` command.

1. Nothing but cyclopts is imported here: each command's module is loaded when the command runs.
2. Exit codes: 0 done; 1 nothing matched, or a check failed; 2 bad usage or bad input; 3 node or network unavailable;
   4 refused by policy or budget; 5 a security failure (a proof, a signature or a label that does not verify); 130
   interrupted. Where a command gives one another meaning, its help says so.
3. Results go to standard output; progress, warnings and errors to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_CLIENT, _NODE, _FOUNDING = "Client", "Node", "Founding and keys"

# (import path, name, help, group), in the order of the help page.
_COMMANDS = (
    ("tocsin.cli.query:query", "query", "Screen own values: which did other members report?", _CLIENT),
    ("tocsin.cli.report:submit", "submit", "Report own values to the federation.", _CLIENT),
    ("tocsin.cli.report:retract", "retract", "Take back every live report of these values.", _CLIENT),
    ("tocsin.cli.report:renew", "renew", "Renew own live reports in the current period.", _CLIENT),
    ("tocsin.cli.watch:watch", "watch", "Print matches as others report, until interrupted.", _CLIENT),
    (
        "tocsin.cli.ingest:ingest",
        "ingest",
        "Make values to screen and report out of a gateway's logs.",
        _CLIENT,
    ),
    (
        "tocsin.cli.fingerprint:app",
        "fingerprint",
        "Explain and compare prompt templates' fingerprints.",
        _CLIENT,
    ),
    ("tocsin.cli.log:app", "log", "Verify the members' logs.", _CLIENT),
    ("tocsin.cli.evidence:app", "evidence", "Export and verify pieces of evidence.", _CLIENT),
    ("tocsin.cli.status:status", "status", "Show how client and node stand.", _CLIENT),
    ("tocsin.cli.status:budget", "budget", "Show what is left of the evaluation budgets.", _CLIENT),
    ("tocsin.cli.node:app", "node", "Run a node.", _NODE),
    ("tocsin.cli.member:app", "member", "Make a member's keys, certificates and public card.", _FOUNDING),
    ("tocsin.cli.charter:app", "charter", "Draft, sign, show, verify and install charters.", _FOUNDING),
    ("tocsin.cli.keys:app", "keys", "Class keys of the committee.", _FOUNDING),
    ("tocsin.cli.demo.command:app", "demo", "Show a whole federation on this machine.", _FOUNDING),
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
        _drop_output()  # whoever read it has what it wanted
        return 0
    except Exception as error:
        from tocsin.cli.failures import report

        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return report(error)
    return result if isinstance(result, int) else 0


def main() -> None:
    """Run as the `tocsin` program."""
    sys.exit(run())


def _drop_output() -> None:
    # What is still buffered cannot be written; the interpreter must not fail on it again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    from importlib.metadata import version

    return version("tocsin")


if __name__ == "__main__":
    main()
