"""The services on the wire, without logic: parse, call, build.

Who calls was decided by the guard; what may go wrong is mapped there, too. Parsing elements is curve work, and runs
where the curve work of the services runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from tocsin.node.rpc import convert
from tocsin.node.rpc.guard import current_caller
from tocsin.node.service.errors import (
    EvaluationsUsedUp,
    InvalidElement,
    InvalidQuorum,
    StaleCharter,
    UnknownKeyClass,
    UnknownKeyEpoch,
)
from tocsin.node.service.evaluating import Evaluating
from tocsin.node.service.log_reader import LogReader
from tocsin.node.service.looking_up import LookingUp
from tocsin.node.service.membership import Membership
from tocsin.node.service.publishing import Publishing
from tocsin.node.service.relaying import Relaying
from tocsin.node.service.status import StatusReporter
from tocsin.v1 import (
    evaluation_pb2,
    evaluation_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    lookup_pb2,
    lookup_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
    publishing_pb2,
    publishing_pb2_grpc,
)

_Context = Any  # unused here: the guard has asked the context everything
_M = TypeVar("_M")
_T = TypeVar("_T")
_CALLERS_FAULT = (EvaluationsUsedUp, InvalidQuorum, StaleCharter, UnknownKeyClass, UnknownKeyEpoch)


class EvaluationServicer(evaluation_pb2_grpc.EvaluationServiceServicer):
    """tocsin.v1.EvaluationService."""

    def __init__(self, evaluating: Evaluating, relaying: Relaying, curve: Executor) -> None:
        self._evaluating = evaluating
        self._relaying = relaying
        self._curve = curve

    async def Evaluate(  # noqa: N802 - the wire's name
        self, request: evaluation_pb2.EvaluateRequest, context: _Context
    ) -> evaluation_pb2.EvaluateResponse:
        """Client to its own node."""
        batch = await self._decoded(convert.EvaluationRequest, request)
        partials = await self._relaying.evaluate(
            batch.key_class, batch.epoch, batch.committee_hash, batch.blinded, batch.complaints
        )
        return evaluation_pb2.EvaluateResponse(partials=map(convert.wire_signed_partial, partials))

    async def EvaluatePartial(  # noqa: N802 - the wire's name
        self, request: evaluation_pb2.EvaluatePartialRequest, context: _Context
    ) -> evaluation_pb2.EvaluatePartialResponse:
        """Node to evaluator."""
        asked = await self._decoded(convert.parse_partial_request, request)
        try:
            signed = await self._evaluating.evaluate(current_caller().member, asked)
        except _CALLERS_FAULT:
            # Decoded for nothing, as a malformed batch is.
            self._evaluating.refused(current_caller().member)
            raise
        return evaluation_pb2.EvaluatePartialResponse(partial=convert.wire_signed_partial(signed))

    async def ListBudgets(  # noqa: N802 - the wire's name
        self, request: evaluation_pb2.ListBudgetsRequest, context: _Context
    ) -> evaluation_pb2.ListBudgetsResponse:
        """Client to its own node."""
        answer = await self._relaying.budgets()
        return evaluation_pb2.ListBudgetsResponse(
            budgets=map(convert.wire_budget, answer.budgets), unreachable=answer.unreachable
        )

    async def GetBudget(  # noqa: N802 - the wire's name
        self, request: evaluation_pb2.GetBudgetRequest, context: _Context
    ) -> evaluation_pb2.GetBudgetResponse:
        """Node to evaluator."""
        budgets = await self._evaluating.budgets(current_caller().member)
        return evaluation_pb2.GetBudgetResponse(budgets=map(convert.wire_budget, budgets))

    async def _decoded(self, parse: Callable[[_M], _T], request: _M) -> _T:
        self._evaluating.check_decoding(current_caller().member)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._curve, parse, request)
        except InvalidElement:
            self._evaluating.malformed(current_caller().member)
            raise


class PublishingServicer(publishing_pb2_grpc.PublishingServiceServicer):
    """tocsin.v1.PublishingService."""

    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing

    async def Submit(  # noqa: N802 - the wire's name
        self, request: publishing_pb2.SubmitRequest, context: _Context
    ) -> publishing_pb2.SubmitResponse:
        """Durable when it returns."""
        key, entries = convert.parse_submission(request)
        done = await self._publishing.submit(key, entries)
        return publishing_pb2.SubmitResponse(accepted=done.count, repeated_request=done.repeated)

    async def Retract(  # noqa: N802 - the wire's name
        self, request: publishing_pb2.RetractRequest, context: _Context
    ) -> publishing_pb2.RetractResponse:
        """Durable when it returns."""
        key, tags = convert.parse_retraction(request)
        done = await self._publishing.retract(key, tags)
        return publishing_pb2.RetractResponse(covered=done.count, repeated_request=done.repeated)

    async def GetSubmission(  # noqa: N802 - the wire's name
        self, request: publishing_pb2.GetSubmissionRequest, context: _Context
    ) -> publishing_pb2.GetSubmissionResponse:
        """What became of a submission."""
        found = await self._publishing.submission(convert.parse_key(request.idempotency_key))
        return publishing_pb2.GetSubmissionResponse(sequenced=found.sequenced, indices=found.indices)


class LogServicer(log_pb2_grpc.LogServiceServicer):
    """tocsin.v1.LogService."""

    def __init__(self, snapshot: LogReader, looking_up: LookingUp) -> None:
        self._log_reader = snapshot
        self._looking_up = looking_up

    async def ListCheckpoints(  # noqa: N802 - the wire's name
        self, request: log_pb2.ListCheckpointsRequest, context: _Context
    ) -> log_pb2.ListCheckpointsResponse:
        """The newest checkpoint of every log here."""
        return log_pb2.ListCheckpointsResponse(
            checkpoints=map(convert.wire_checkpoint, await self._log_reader.checkpoints())
        )

    async def ListEntries(  # noqa: N802 - the wire's name
        self, request: log_pb2.ListEntriesRequest, context: _Context
    ) -> log_pb2.ListEntriesResponse:
        """Entries from an index on."""
        entries = await self._log_reader.entries(
            convert.parse_member(request.writer, "writer"),
            convert.parse_index(request.start, "start"),
            request.limit,
        )
        return log_pb2.ListEntriesResponse(entries=map(convert.wire_entry, entries))

    async def GetConsistencyProof(  # noqa: N802 - the wire's name
        self, request: log_pb2.GetConsistencyProofRequest, context: _Context
    ) -> log_pb2.GetConsistencyProofResponse:
        """RFC 6962 consistency proof."""
        hashes = await self._log_reader.consistency(
            convert.parse_member(request.writer, "writer"),
            convert.parse_index(request.old_size, "old_size"),
            convert.parse_index(request.new_size, "new_size"),
        )
        return log_pb2.GetConsistencyProofResponse(hashes=hashes)

    async def GetProvenEntries(  # noqa: N802 - the wire's name
        self, request: log_pb2.GetProvenEntriesRequest, context: _Context
    ) -> log_pb2.GetProvenEntriesResponse:
        """Entries with inclusion proofs."""
        return convert.wire_proven(await self._looking_up.proven_entries(convert.parse_locations(request)))

    async def ListForks(  # noqa: N802 - the wire's name
        self, request: log_pb2.ListForksRequest, context: _Context
    ) -> log_pb2.ListForksResponse:
        """Proofs that an origin signed two histories."""
        forks = await self._log_reader.forks()
        return log_pb2.ListForksResponse(
            forks=[log_pb2.Fork(writer=fork.writer, proof=fork.proof) for fork in forks]
        )


class LookupServicer(lookup_pb2_grpc.LookupServiceServicer):
    """tocsin.v1.LookupService."""

    def __init__(self, looking_up: LookingUp) -> None:
        self._looking_up = looking_up

    async def LookUp(  # noqa: N802 - the wire's name
        self, request: lookup_pb2.LookUpRequest, context: _Context
    ) -> lookup_pb2.LookUpResponse:
        """Live entries under tags."""
        return convert.wire_hits(await self._looking_up.look_up(convert.parse_look_up(request)))

    async def WatchTags(  # noqa: N802 - the wire's name
        self, request: lookup_pb2.WatchTagsRequest, context: _Context
    ) -> AsyncIterator[lookup_pb2.WatchTagsResponse]:
        """New sealed entries as they are applied."""
        async for news in self._looking_up.watch(convert.parse_cursor(request), request.newest_period):
            yield convert.wire_news(news)


class MembershipServicer(membership_pb2_grpc.MembershipServiceServicer):
    """tocsin.v1.MembershipService."""

    def __init__(self, membership: Membership, status: StatusReporter, software_version: str) -> None:
        self._membership = membership
        self._status = status
        self._software_version = software_version

    async def ListCharters(  # noqa: N802 - the wire's name
        self, request: membership_pb2.ListChartersRequest, context: _Context
    ) -> membership_pb2.ListChartersResponse:
        """Signed charters from a version on."""
        version = convert.parse_index(request.first_version, "first_version")
        return membership_pb2.ListChartersResponse(charters=await self._membership.charters(version))

    async def GetStatus(  # noqa: N802 - the wire's name
        self, request: membership_pb2.GetStatusRequest, context: _Context
    ) -> membership_pb2.GetStatusResponse:
        """How this node stands with itself and with every other member."""
        return convert.wire_status(await self._status.status(self._software_version))
