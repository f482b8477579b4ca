"""The exit code of every command, and the one line that an error prints.

| code | meaning |
|---|---|
| 0 | done; `query`: something matched |
| 1 | nothing matched, or a check of the system's state failed (`status`, `demo`) |
| 2 | bad usage or bad input: arguments, files, settings, keys; or lines were skipped (`query`: and nothing matched) |
| 3 | the node, the network or enough evaluators are unavailable: trying later may help |
| 4 | refused by policy, or the budget is used up |
| 5 | a security check failed: a proof, a signature, a charter or a label does not verify |
| 130, 143 | interrupted, ended by SIGTERM |

1. The code depends on the error's type. An error says who is wrong; two errors that share a name are two types.
2. Only errors of our own and those of the file system are expected. Anything else is a fault of the program and keeps
   its traceback.
3. The output of other programs, such as the end of a node's log, is noted with the error and follows line by line.
"""

from __future__ import annotations

from tocsin.charter.errors import (
    BadCharterSignature,
    NotEnoughSignatures,
    RolledBack,
    TwoCharters,
    WrongPin,
)
from tocsin.cli.output import fail
from tocsin.client.errors import (
    BudgetExhausted,
    DraftRefused,
    LocalProblem,
    Misbehaved,
    RefusedByNode,
    TocsinError,
    Unavailable,
    UntrustedCharter,
)
from tocsin.detect.errors import AgreementTooLow, WebhookRefused, WebhookUnavailable
from tocsin.localnet.errors import NodeDidNotStart
from tocsin.oprf.group import LibsodiumMissing
from tocsin.tlog.errors import TlogError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 3
EXIT_REFUSED = 4
EXIT_SECURITY = 5

# The first type that an error is an instance of decides.
_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((Misbehaved, UntrustedCharter), EXIT_SECURITY),
    ((BadCharterSignature, NotEnoughSignatures, RolledBack, TwoCharters, WrongPin, TlogError), EXIT_SECURITY),
    ((Unavailable, NodeDidNotStart, WebhookUnavailable), EXIT_UNAVAILABLE),
    ((BudgetExhausted, DraftRefused, RefusedByNode, WebhookRefused, AgreementTooLow), EXIT_REFUSED),
    ((LocalProblem, LibsodiumMissing, OSError), EXIT_USAGE),
    ((TocsinError,), EXIT_FAILED),
)


def report(error: Exception) -> int:
    """Print an error and return the exit code. Raises it again where nobody expected it (rule 2)."""
    code = exit_code(error)
    if code is None:
        raise error
    fail(_line(error), *getattr(error, "__notes__", ()))
    return code


def exit_code(error: Exception) -> int | None:
    """Return the exit code of an error; None for a fault of the program."""
    for types, code in _CODES:
        if isinstance(error, types):
            return code
    if not type(error).__module__.startswith("tocsin."):
        return None
    return EXIT_USAGE if isinstance(error, ValueError) else EXIT_FAILED


def _line(error: Exception) -> str:
    # The system's own text begins with a number that helps nobody. An error of our own says everything itself.
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    match error:
        case FileNotFoundError(filename=str() as name):
            return f"{name} does not exist"
        case FileExistsError(filename=str() as name):
            return f"{name} already exists: name a new file; existing files are never overwritten"
        case OSError(filename=str() as name):
            return f"{name}: {error.strerror}"
    return error.strerror
