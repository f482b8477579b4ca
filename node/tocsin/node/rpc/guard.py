"""What stands before every servicer: authorization, limits and the mapping of errors.

1. A call is authorized before its message is received, let alone parsed. To be able to, every unary request is read
   here as the first message of a stream; on the wire the two are the same.
2. A caller (member and role) has at most so many calls and streams open; further ones are refused at once, so that
   stalled calls of one member do not starve another. A call is open until its answer has left the process, not until
   it is computed: answers that nobody reads count against whoever asked for them. The server ends their connection
   (`server.py`, rule 5).
3. A request that does not arrive within `ARRIVAL_S` ends the call, and a unary call ends after `DEADLINE_S` or its own
   deadline, whichever is sooner. A stream ends in good order after `STREAM_S`; its reader goes on from its cursor.
4. A stream is authorized again before each message it sends.
5. Whatever a servicer raises becomes a status by `errors`; a refused caller is audited.
6. Of the methods whose answers are large a caller has `LARGE_AT_ONCE` in work or unread; its further ones wait for
   their turn, and a turn is followed by a pause as long as its work took. So what a caller can make the node hold or
   compute does not grow with how often it calls, and half of the time is others'.
7. A stopping node refuses new calls and ends open streams, both with UNAVAILABLE; calls in flight go on. Only when
   `drain` has seen them finish is the server stopped: what reaches a server that stops is dropped without a word.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.message import DecodeError

from tocsin.node.rpc import errors
from tocsin.node.rpc.authorize import Caller, Gate, NotAllowed, Role
from tocsin.wire.errors import Malformed
from tocsin.wire.limits import DEADLINE_S
from tocsin.wire.status import Status, refuse

ARRIVAL_S = 10.0
_DRAIN_LOOK_S = 0.02
CALLS = {Role.CLIENT: 512, Role.NODE: 32}
STREAMS = {Role.CLIENT: 32, Role.NODE: 8}
STREAM_S = 120.0
LARGE_AT_ONCE = 2
LARGE_ANSWERS = frozenset(
    {
        "/tocsin.v1.LogService/ListCheckpoints",
        "/tocsin.v1.LogService/ListIntermediateCheckpoints",
        "/tocsin.v1.LogService/ListEntries",
        "/tocsin.v1.LogService/GetProvenEntries",
        "/tocsin.v1.LogService/ListForks",
        "/tocsin.v1.LookupService/LookUp",
        "/tocsin.v1.MembershipService/ListCharters",
    }
)

_caller: ContextVar[Caller] = ContextVar("caller")
_Raw = Any  # grpc's handlers and contexts are generic over messages this module treats alike


def current_caller() -> Caller:
    """Return who makes the call that is being served; only within a servicer."""
    return _caller.get()


class Guard(grpc.aio.ServerInterceptor):
    """The one interceptor of a node's server; lives in the server's event loop."""

    def __init__(
        self,
        gate: Gate,
        *,
        refused: Callable[[str, str], None],
        incident: Callable[[], str],
        deadline_s: float = DEADLINE_S,
        arrival_s: float = ARRIVAL_S,
        calls: Mapping[Role, int] = CALLS,
        streams: Mapping[Role, int] = STREAMS,
        stream_s: float = STREAM_S,
    ) -> None:
        """`refused(reason, detail)` audits without blocking; `incident()` gives a fresh id for an internal error."""
        self._gate = gate
        self._refused = refused
        self._incident = incident
        self._deadline_s = deadline_s
        self._arrival_s = arrival_s
        self._call_limit = calls
        self._stream_limit = streams
        self._stream_s = stream_s
        self._calls: Counter[Caller] = Counter()
        self._streams: Counter[Caller] = Counter()
        self._turns: dict[Caller, _Turns] = {}
        self._stream_tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._log = structlog.get_logger()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Raw]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Raw:
        """Wrap the method's handler; grpc calls this once per call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method: str = handler_call_details.method
        if handler.request_streaming:
            return self._guard_stream_stream(method, handler)
        if handler.response_streaming:
            return self._guard_unary_stream(method, handler)
        return self._guard_unary_unary(method, handler)

    def _guard_unary_unary(self, method: str, handler: _Raw) -> _Raw:
        async def serve(_requests: object, context: _Raw) -> _Raw:
            async with self._mapped(method, context):
                caller = self._admit(method, context)
                _count(self._calls, caller, self._call_limit, context)
                remaining = context.time_remaining()
                async with _at_most(
                    self._deadline_s if remaining is None else min(self._deadline_s, remaining),
                    errors.DeadlinePassed("the call took longer than its deadline allows"),
                ):
                    request = await self._receive(context, handler.request_deserializer)
                    if method not in LARGE_ANSWERS:
                        return await handler.unary_unary(request, context)
                    async with self._turn(caller, context):
                        return await handler.unary_unary(request, context)

        return grpc.stream_unary_rpc_method_handler(serve, None, handler.response_serializer)

    def _guard_unary_stream(self, method: str, handler: _Raw) -> _Raw:
        async def serve(_requests: object, context: _Raw) -> None:
            async with self._mapped(method, context):
                caller = self._admit(method, context)
                _count(self._streams, caller, self._stream_limit, context)
                request = await self._receive(context, handler.request_deserializer)
                with self._ending():
                    async with _at_most(self._stream_s):
                        if not inspect.isasyncgenfunction(handler.unary_stream):
                            await handler.unary_stream(request, _Admitting(context, self._gate, method))
                            return
                        # M-8.6: checked again before each message of a stream.
                        async for response in handler.unary_stream(request, context):
                            self._gate.admit(method, context.auth_context())
                            await context.write(response)

        return grpc.stream_stream_rpc_method_handler(serve, None, handler.response_serializer)

    def _guard_stream_stream(self, method: str, handler: _Raw) -> _Raw:
        async def serve(requests: AsyncIterator[_Raw], context: _Raw) -> None:
            async with self._mapped(method, context):
                caller = self._admit(method, context)
                _count(self._streams, caller, self._stream_limit, context)
                with self._ending():
                    async for response in handler.stream_stream(requests, context):
                        self._gate.admit(method, context.auth_context())
                        await context.write(response)

        return grpc.stream_stream_rpc_method_handler(
            serve, handler.request_deserializer, handler.response_serializer
        )

    def _admit(self, method: str, context: _Raw) -> Caller:
        if self._stopping and not method.startswith("/grpc.health."):
            raise errors.Stopping("the node is stopping; try again shortly")
        caller = self._gate.admit(method, context.auth_context())
        _caller.set(caller)
        return caller

    @asynccontextmanager
    async def _turn(self, caller: Caller, context: _Raw) -> AsyncIterator[None]:
        """Wait for a caller's turn (rule 6); it is over once the answer has left, and a pause after it."""
        turns = self._turns.setdefault(caller, _Turns())
        turns.users += 1

        def leave(_: object) -> None:
            turns.users -= 1
            if not turns.users:
                del self._turns[caller]

        context.add_done_callback(leave)
        await turns.free.acquire()
        loop = asyncio.get_running_loop()
        began, took = loop.time(), 0.0
        context.add_done_callback(lambda _: loop.call_later(took, turns.free.release))
        try:
            yield
        finally:
            took = loop.time() - began

    async def _receive(self, context: _Raw, parse: Callable[[bytes], _Raw]) -> _Raw:
        try:
            raw = await asyncio.wait_for(context.read(), self._arrival_s)
        except TimeoutError:
            raise errors.Stalled(f"the request did not arrive within {self._arrival_s:g} s") from None
        if raw is grpc.aio.EOF:
            raise Malformed("the call carries no request", None)
        try:
            return parse(raw)
        except DecodeError:
            raise Malformed("the request is not a message of this method's type", None) from None

    @contextmanager
    def _ending(self) -> Iterator[None]:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is served by a task")
        self._stream_tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            task.uncancel()
            raise errors.Stopping("the node is stopping; resume the stream shortly") from None
        finally:
            self._stream_tasks.discard(task)

    def end_streams(self) -> None:
        """Refuse new calls and end every open stream with UNAVAILABLE; unary calls in flight go on."""
        self._stopping = True
        for task in tuple(self._stream_tasks):
            task.cancel()

    async def drain(self) -> None:
        """Return when no unary call is in flight any more."""
        while self._calls:
            await asyncio.sleep(_DRAIN_LOOK_S)

    @asynccontextmanager
    async def _mapped(self, method: str, context: _Raw) -> AsyncIterator[None]:
        try:
            yield
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except NotAllowed as error:
            self._refused(error.reason, f"{method}: {error}")
            await _abort(context, refuse(error.reason, str(error)))
        except Exception as error:
            status = errors.known_status(error)
            if status is None:
                incident = self._incident()
                self._log.error("internal-error", method=method, incident=incident, error=error)
                # M-10.3: a fault of the node's own.
                status = errors.internal(incident)
            await _abort(context, status)


class _Admitting:
    """A call's context for a servicer that writes its stream by itself (rule 4)."""

    def __init__(self, context: _Raw, gate: Gate, method: str) -> None:
        self._context = context
        self._gate = gate
        self._method = method

    def __getattr__(self, name: str) -> _Raw:
        return getattr(self._context, name)

    async def write(self, response: _Raw) -> None:
        self._gate.admit(self._method, self._context.auth_context())
        await self._context.write(response)


class _Turns:
    """The turns of one caller, and how many of its calls have or await one."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(LARGE_AT_ONCE)
        self.users = 0


def _count(counter: Counter[Caller], caller: Caller, limits: Mapping[Role, int], context: _Raw) -> None:
    """Count a call until grpc is done with it: its answer and status have left, or its connection has ended."""
    # M-10.5: per caller, until the answer has left.
    if counter[caller] >= limits[caller.role]:
        raise errors.TooManyCalls(
            f"{limits[caller.role]} calls of this caller are open or their answers unread; "
            "read them, or wait for one to end"
        )
    counter[caller] += 1

    def leave(_: object) -> None:
        counter[caller] -= 1
        if not counter[caller]:
            del counter[caller]

    context.add_done_callback(leave)


@asynccontextmanager
async def _at_most(seconds: float, late: Exception | None = None) -> AsyncIterator[None]:
    """End what runs inside after so long, and raise `late` then if it is given."""
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            yield
    except TimeoutError:
        if not scope.expired():
            raise
        if late is not None:
            raise late from None


async def _abort(context: _Raw, status: Status) -> NoReturn:
    await context.abort(status.code, status.message, status.trailing_metadata())
    raise RuntimeError("abort returned")
