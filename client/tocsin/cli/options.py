"""Options that several client commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.output import counted

if TYPE_CHECKING:
    from tocsin.client import Client

Config = Annotated[
    Path,
    Parameter(
        name="--config",
        env_var="TOCSIN_CLIENT_CONFIG",
        help="client.toml, or the folder that holds it.",
    ),
]
DEFAULT_CONFIG = Path("client")

Strict = Annotated[bool, Parameter(negative=(), help="Send nothing if any line is bad.")]
Inputs = Annotated[
    str,
    Parameter(
        # So that `-` gets here; what else begins so and is no option is refused when it is read.
        allow_leading_hyphen=True,
        help="CSV or JSON-lines files with type and value (`tocsin types` lists the types), `-` for standard input, or "
        "type=value (arguments are visible to other processes).",
    ),
]

Indicators = Annotated[
    Path | None,
    Parameter(name="--from", help="File of indicators that `tocsin ingest` wrote, instead of inputs."),
]
SomeAccounts = Annotated[
    Path | None, Parameter(help="File of account ids, one a line: only their values of --from.")
]

Pin = Annotated[
    str | None, Parameter(help="Hash of charter version 1, 64 hex digits; by default from client.toml.")
]


class BadPin(ValueError):
    """A pin that is not 64 hex digits."""


def trusted_pin(pin: str | None, config: Path) -> bytes:
    """Return the pin that was given, else the one of client.toml. Raises `BadPin`, `BadConfig`."""
    if pin is None:
        from tocsin.client.config import load_config

        return load_config(config).charter_pin
    try:
        trusted = bytes.fromhex(pin)
    except ValueError:
        trusted = b""
    if len(trusted) != 32:
        raise BadPin("--pin must be 64 hex digits: the hash of charter version 1")
    return trusted


def connect(config: Path) -> Client:
    """Open the client of a command."""
    from tocsin.client import Client

    return Client.connect(config)


@contextmanager
def sending(config: Path) -> Iterator[Client]:
    """Open the client of a command that sends; if the node cannot be reached, say what is in the outbox."""
    from tocsin.client.errors import Unavailable

    with connect(config) as client:
        before = client.outbox
        try:
            yield client
        except Unavailable as error:
            waiting = client.outbox
            if waiting:
                requests = counted(waiting, "sealed request waits", "sealed requests wait")
                error.add_note(f"{requests} in the outbox; the next command sends it")
            if waiting == before:
                error.add_note("nothing of this command was kept: run it again when the node can be reached")
            raise
