"""The client SDK: screen, report and watch without a raw value leaving this process.

from tocsin.client import Client

with Client.connect("client/") as tocsin:
    print(tocsin.query([("contact.email", "a@example.com")]).matches)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin.client.client import Client
    from tocsin.client.model import Match, QueryResult, Receipt, ReportDraft

__all__ = ["Client", "Match", "QueryResult", "Receipt", "ReportDraft"]


def __getattr__(name: str) -> Any:
    # Commands that only want this package's clock must not pay for the curve, gRPC and SQLite.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tocsin.client import client, model

    return client.Client if name == "Client" else getattr(model, name)
