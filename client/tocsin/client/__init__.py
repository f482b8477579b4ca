"""The client SDK: screen, report and watch without a raw value leaving this process.

from tocsin.client import Client

with Client.connect("client/") as tocsin:
    if result := tocsin.query([("contact.email", "a@example.com")]):
        print([match.to_dict() for match in result.matches])

Every name below, every error included, is imported from here; importing this package alone loads none of them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin.client.async_client import AsyncClient
    from tocsin.client.client import Client
    from tocsin.client.disputing import DisputeDraft
    from tocsin.client.drafts import ReportDraft
    from tocsin.client.errors import (
        BadArgument,
        BadConfig,
        BadEvidence,
        BadPartial,
        BadVault,
        BudgetExhausted,
        Cancelled,
        CharterRefused,
        ClientClosed,
        DraftRefused,
        EntryErased,
        FolderUnusable,
        ForeignVault,
        ForkedClient,
        LocalProblem,
        Misbehaved,
        NodeMisbehaved,
        NotInRoom,
        PeerMisbehaved,
        RefusedByNode,
        RoomDraftRefused,
        StaleCharter,
        SubmissionLost,
        TimedOut,
        TocsinError,
        Unavailable,
        UnknownMember,
        UntrustedCharter,
        ValueRefused,
        ValuesRefused,
        WrongPepper,
    )
    from tocsin.client.evidence import VerifiedEvidence
    from tocsin.client.forks import ProvenFork
    from tocsin.client.log_audit import LogReport
    from tocsin.client.results import (
        BudgetReport,
        ClientStatus,
        LastHeard,
        LogState,
        Match,
        MemberName,
        Problem,
        ProofFiles,
        QueryResult,
        Receipt,
        Retraction,
        SeatBudget,
        SubmissionState,
    )
    from tocsin.client.rooms import Room, RoomDraft

_MODULES = {
    "async_client": "AsyncClient",
    "client": "Client",
    "disputing": "DisputeDraft",
    "drafts": "ReportDraft",
    "errors": "BadArgument BadConfig BadEvidence BadPartial BadVault BudgetExhausted Cancelled CharterRefused "
    "ClientClosed DraftRefused EntryErased FolderUnusable ForeignVault ForkedClient LocalProblem Misbehaved "
    "NodeMisbehaved NotInRoom PeerMisbehaved RefusedByNode RoomDraftRefused StaleCharter SubmissionLost TimedOut "
    "TocsinError Unavailable UnknownMember UntrustedCharter ValueRefused ValuesRefused WrongPepper",
    "evidence": "VerifiedEvidence",
    "forks": "ProvenFork",
    "log_audit": "LogReport",
    "results": "BudgetReport ClientStatus LastHeard LogState Match MemberName Problem ProofFiles QueryResult Receipt "
    "Retraction SeatBudget SubmissionState",
    "rooms": "Room RoomDraft",
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "AsyncClient",
    "BadArgument",
    "BadConfig",
    "BadEvidence",
    "BadPartial",
    "BadVault",
    "BudgetExhausted",
    "BudgetReport",
    "Cancelled",
    "CharterRefused",
    "Client",
    "ClientClosed",
    "ClientStatus",
    "DisputeDraft",
    "DraftRefused",
    "EntryErased",
    "FolderUnusable",
    "ForeignVault",
    "ForkedClient",
    "LastHeard",
    "LocalProblem",
    "LogReport",
    "LogState",
    "Match",
    "MemberName",
    "Misbehaved",
    "NodeMisbehaved",
    "NotInRoom",
    "PeerMisbehaved",
    "Problem",
    "ProofFiles",
    "ProvenFork",
    "QueryResult",
    "Receipt",
    "RefusedByNode",
    "ReportDraft",
    "Retraction",
    "Room",
    "RoomDraft",
    "RoomDraftRefused",
    "SeatBudget",
    "StaleCharter",
    "SubmissionLost",
    "SubmissionState",
    "TimedOut",
    "TocsinError",
    "Unavailable",
    "UnknownMember",
    "UntrustedCharter",
    "ValueRefused",
    "ValuesRefused",
    "VerifiedEvidence",
    "WrongPepper",
]


def __getattr__(name: str) -> Any:
    # Commands that only want this package's clock must not pay for the curve, gRPC and SQLite.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
