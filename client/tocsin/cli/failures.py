"""From an error to its one line on standard error and the exit code of `tocsin.cli.main`.

What other programs wrote, such as the end of a node's log, is noted with the error and follows line by line.

Only errors of our own, and those of the file system, are expected; anything else is a fault of the program and keeps
its traceback.
"""

from __future__ import annotations

from tocsin.cli.output import fail
from tocsin.client.errors import (
    BudgetExhausted,
    DraftRefused,
    LocalProblem,
    Misbehaved,
    RefusedByNode,
    Unavailable,
    UntrustedCharter,
)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 3
EXIT_REFUSED = 4
EXIT_SECURITY = 5

# By name, so that a failing query does not import the demonstration.
_NAMED = {"NodeDidNotStart": EXIT_UNAVAILABLE, "LibsodiumMissing": EXIT_USAGE}
_SECURITY = {"NotEnoughSignatures", "RolledBack", "TwoCharters", "TlogError", "BadSignature", "WrongPin"}


def report(error: Exception) -> int:
    """Print an error and return the exit code. Raises it again where nobody expected it."""
    code = exit_code(error)
    if code is None:
        raise error
    fail(_line(error), *getattr(error, "__notes__", ()))
    return code


def exit_code(error: Exception) -> int | None:
    """Return the exit code an error stands for; None for a fault of the program."""
    match error:
        case Misbehaved() | UntrustedCharter():
            return EXIT_SECURITY
        case Unavailable():
            return EXIT_UNAVAILABLE
        case BudgetExhausted() | DraftRefused() | RefusedByNode():
            return EXIT_REFUSED
        case LocalProblem():
            return EXIT_USAGE
        case OSError():
            return EXIT_USAGE
    names = {each.__name__ for each in type(error).__mro__}
    if not type(error).__module__.startswith("tocsin."):
        return None
    if names & _SECURITY:
        return EXIT_SECURITY
    for name in names & _NAMED.keys():
        return _NAMED[name]
    return EXIT_USAGE if isinstance(error, ValueError) else EXIT_FAILED


def _line(error: Exception) -> str:
    # The system's own text begins with a number that helps nobody. An error of our own says everything itself.
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    match error:
        case FileNotFoundError(filename=str() as name):
            return f"{name} does not exist"
        case FileExistsError(filename=str() as name):
            return f"{name} exists already: name a new file, nothing is written over"
        case OSError(filename=str() as name):
            return f"{name}: {error.strerror}"
    return error.strerror
