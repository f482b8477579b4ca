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
        help="CSV or JSON-lines files with type and value, `-` for standard input, or type=value "
        "(arguments are visible to other processes).",
    ),
]

Indicators = Annotated[
    Path | None,
    Parameter(name="--from", help="File of indicators that `tocsin ingest` made, in place of inputs."),
]
SomeAccounts = Annotated[
    Path | None, Parameter(help="File of account ids, one a line: only their values of --from.")
]

Pin = Annotated[str | None, Parameter(help="Hash of charter version 1 in hex; by default from client.toml.")]


class BadPin(ValueError):
    """A pin that is not 32 bytes in hex."""


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
        raise BadPin("--pin is 32 bytes in hex")
    return trusted


def connect(config: Path) -> Client:
    """Open the client that a command works with."""
    from tocsin.client import Client

    return Client.connect(config)


@contextmanager
def sending(config: Path) -> Iterator[Client]:
    """Open the client of a command that sends; where the node cannot be reached, say what is in the outbox."""
    from tocsin.client.errors import Unavailable

    with connect(config) as client:
        before = client.outbox
        try:
            yield client
        except Unavailable as error:
            waiting = client.outbox
            if waiting:
                requests = counted(waiting, "sealed request waits", "sealed requests wait")
                error.add_note(f"{requests} in the outbox, and the next command sends what waits")
            if waiting == before:
                error.add_note("of this command nothing was kept: run it again when the node can be reached")
            raise
