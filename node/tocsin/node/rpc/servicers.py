"""The services on the wire, without logic: parse, call, build.

Who calls was decided by the guard; what may go wrong is mapped there, too. Parsing elements is curve work, and runs
where the curve work of the services runs. Large answers are built in a thread, so that no other call waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from tocsin.node.rpc.guard import current_caller
from tocsin.node.service.errors import (
    EvaluationsUsedUp,
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
from tocsin.wire.codec import evaluation, fields, log, lookup, membership, publishing
from tocsin.wire.errors import Malformed
from tocsin.wire.reasons import Reason

_Context = Any  # unused here: the guard has asked the context everything
_M = TypeVar("_M")
_T = TypeVar("_T")
_CALLERS_FAULT = (EvaluationsUsedUp, InvalidQuorum, StaleCharter, UnknownKeyClass, UnknownKeyEpoch)


class EvaluationServicer(evaluation_pb2_grpc.EvaluationServiceServicer):
    """tocsin.v1.EvaluationService."""

    def __init__(self, evaluating: Evaluating, relaying: Relaying) -> None:
        self._evaluating = evaluating
        self._relaying = relaying

    async def Evaluate(  # noqa: N802 - the wire's name
        self, request: evaluation_pb2.EvaluateRequest, context: _Context
    ) -> evaluation_pb2.EvaluateResponse:
        """From a client of this member."""
        count = len(request.blinded_elements)
        count += sum(len(complaint.evaluated_elements) for complaint in request.complaints)
        batch = await self._decoded(evaluation.parse_evaluate, request, count)
        partials = await self._relaying.evaluate(
            batch.key_class, batch.epoch, batch.committee_hash, batch.blinded, batch.complaints
        )
        return evaluation.build_partials(partials)

    async def EvaluatePartial(  # noqa: N802 - the wire's name
        self, request: evaluation_pb2.EvaluatePartialRequest, context: _Context
    ) -> evaluation_pb2.EvaluatePartialResponse:
        """Node to evaluator."""
        count = len(request.blinded_elements)
        asked = await self._decoded(evaluation.parse_partial_request, request, count)
        try:
            signed = await self._evaluating.evaluate(current_caller().member, asked)
        except _CALLERS_FAULT:
            # Decoded for nothing, as a malformed batch is.
            self._evaluating.refused(current_caller().member, count)
            raise
        return evaluation_pb2.EvaluatePartialResponse(partial=evaluation.build_signed_partial(signed))

    async def ListBudgets(  # noqa: N802 - the wire's name
        self, request: evaluation_pb2.ListBudgetsRequest, context: _Context
    ) -> evaluation_pb2.ListBudgetsResponse:
        """From a client of this member."""
        return evaluation.build_all_budgets(await self._relaying.budgets())

    async def GetBudget(  # noqa: N802 - the wire's name
        self, request: evaluation_pb2.GetBudgetRequest, context: _Context
    ) -> evaluation_pb2.GetBudgetResponse:
        """Node to evaluator."""
        budgets = await self._evaluating.budgets(current_caller().member)
        return evaluation.build_budgets(budgets)

    async def _decoded(self, parse: Callable[[_M], _T], request: _M, count: int) -> _T:
        caller = current_caller().member
        try:
            return await self._evaluating.decode(caller, count, lambda: parse(request))
        except Malformed as error:
            if error.reason is Reason.INVALID_ELEMENT:
                self._evaluating.malformed(caller, count)
            raise


class PublishingServicer(publishing_pb2_grpc.PublishingServiceServicer):
    """tocsin.v1.PublishingService."""

    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing

    async def Submit(  # noqa: N802 - the wire's name
        self, request: publishing_pb2.SubmitRequest, context: _Context
    ) -> publishing_pb2.SubmitResponse:
        """Durable when it returns."""
        key, entries = publishing.parse_submission(request)
        done = await self._publishing.submit(key, entries)
        return publishing.build_submitted(done)

    async def Retract(  # noqa: N802 - the wire's name
        self, request: publishing_pb2.RetractRequest, context: _Context
    ) -> publishing_pb2.RetractResponse:
        """Durable when it returns."""
        key, tags = publishing.parse_retraction(request)
        done = await self._publishing.retract(key, tags)
        return publishing.build_retracted(done)

    async def GetSubmission(  # noqa: N802 - the wire's name
        self, request: publishing_pb2.GetSubmissionRequest, context: _Context
    ) -> publishing_pb2.GetSubmissionResponse:
        """What became of a submission."""
        key = fields.parse_idempotency_key(request.idempotency_key)
        return publishing.build_submission_status(await self._publishing.submission(key))


class LogServicer(log_pb2_grpc.LogServiceServicer):
    """tocsin.v1.LogService."""

    def __init__(self, log_reader: LogReader, looking_up: LookingUp) -> None:
        self._log_reader = log_reader
        self._looking_up = looking_up

    async def ListCheckpoints(  # noqa: N802 - the wire's name
        self, request: log_pb2.ListCheckpointsRequest, context: _Context
    ) -> log_pb2.ListCheckpointsResponse:
        """The newest checkpoint of every log here."""
        return log.build_checkpoints(await self._log_reader.checkpoints(), self._log_reader.time())

    async def ListIntermediateCheckpoints(  # noqa: N802 - the wire's name
        self, request: log_pb2.ListIntermediateCheckpointsRequest, context: _Context
    ) -> log_pb2.ListIntermediateCheckpointsResponse:
        """Checkpoints of this node's own log on the way to the newest."""
        after, limit = log.parse_steps_request(request)
        return log.build_steps(await self._log_reader.intermediate_checkpoints(after, limit))

    async def ListEntries(  # noqa: N802 - the wire's name
        self, request: log_pb2.ListEntriesRequest, context: _Context
    ) -> log_pb2.ListEntriesResponse:
        """Entries from an index on."""
        writer, start, limit = log.parse_page(request)
        entries = await self._log_reader.entries(writer, start, limit)
        return await asyncio.to_thread(log.build_entries, entries)

    async def GetConsistencyProof(  # noqa: N802 - the wire's name
        self, request: log_pb2.GetConsistencyProofRequest, context: _Context
    ) -> log_pb2.GetConsistencyProofResponse:
        """RFC 6962 consistency proof."""
        writer, old_size, new_size = log.parse_consistency_request(request)
        return log.build_consistency(await self._log_reader.consistency(writer, old_size, new_size))

    async def GetProvenEntries(  # noqa: N802 - the wire's name
        self, request: log_pb2.GetProvenEntriesRequest, context: _Context
    ) -> log_pb2.GetProvenEntriesResponse:
        """Entries with inclusion proofs."""
        proven = await self._looking_up.proven_entries(log.parse_locations(request))
        return await asyncio.to_thread(log.build_proven, proven)

    async def ListForks(  # noqa: N802 - the wire's name
        self, request: log_pb2.ListForksRequest, context: _Context
    ) -> log_pb2.ListForksResponse:
        """Proofs that an origin signed two histories."""
        return log.build_forks(await self._log_reader.forks())


class LookupServicer(lookup_pb2_grpc.LookupServiceServicer):
    """tocsin.v1.LookupService."""

    def __init__(self, looking_up: LookingUp) -> None:
        self._looking_up = looking_up

    async def LookUp(  # noqa: N802 - the wire's name
        self, request: lookup_pb2.LookUpRequest, context: _Context
    ) -> lookup_pb2.LookUpResponse:
        """Live entries under tags."""
        hits = await self._looking_up.look_up(lookup.parse_look_up(request))
        return await asyncio.to_thread(lookup.build_hits, hits)

    async def WatchTags(  # noqa: N802 - the wire's name
        self, request: lookup_pb2.WatchTagsRequest, context: _Context
    ) -> AsyncIterator[lookup_pb2.WatchTagsResponse]:
        """New sealed entries as they are applied."""
        cursor, newest_period = lookup.parse_watch(request)
        async for new_tags in self._looking_up.watch(cursor, newest_period):
            yield lookup.build_new_tags(new_tags)


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
        version = membership.parse_first_version(request)
        return membership.build_charters(await self._membership.charters(version))

    async def GetStatus(  # noqa: N802 - the wire's name
        self, request: membership_pb2.GetStatusRequest, context: _Context
    ) -> membership_pb2.GetStatusResponse:
        """What this node knows of its own log and of every other."""
        return membership.build_status(await self._status.status(self._software_version))
