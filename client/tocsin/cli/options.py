"""Options that several client commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

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


def connect(config: Path) -> Client:
    """Open the client that a command works with."""
    from tocsin.client import Client

    return Client.connect(config)
