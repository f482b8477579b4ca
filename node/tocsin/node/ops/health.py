"""Whether the node should be given work: grpc.health.v1, kept true by checks.

1. SERVING means: the store takes writes and is whole, charter and certificate are valid, ticks succeed, the node may
   sign its log, and it has its share of every live epoch.
2. A node that is not ready still answers what it can; readiness is advice to whoever routes calls to it.
3. `stop()` is final: NOT_SERVING from then on.
4. What is asked for the service `LIVENESS` is whether the process answers: SERVING until it stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from tocsin.node.errors import NodeError

PERIOD_S = 2.0
LIVENESS = "liveness"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Watches the node's checks and keeps the health service up to date; belongs to the event loop's thread.

    `checks` are named, may block, and raise what is wrong.
    """

    def __init__(self, checks: Mapping[str, Callable[[], object]]) -> None:
        self.servicer = aio.HealthServicer()
        self._checks = checks
        self._problem: str | None = "starting"
        self._reason: str | None = None
        self._stopped = False
        self._log = structlog.get_logger()

    @property
    def problem(self) -> str | None:
        """The name of the check that fails, or None while the node is ready."""
        return self._problem

    @property
    def reason(self) -> str | None:
        """What that check found, for the operator's eyes."""
        return self._reason

    async def start(self) -> None:
        """Run every check once and publish the result."""
        await self.servicer.set(LIVENESS, _SERVING)
        self._problem = await self._check()
        await self._publish()

    async def run(self) -> None:
        """Run the checks again and again until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            problem = await self._check()
            if problem != self._problem and not self._stopped:
                self._problem = problem
                self._log.warning(
                    "readiness-changed", ready=problem is None, problem=problem, reason=self._reason
                )
                await self._publish()

    async def stop(self) -> None:
        """Say NOT_SERVING from now on."""
        self._stopped = True
        self._problem = "stopping"
        await self.servicer.enter_graceful_shutdown()

    async def _publish(self) -> None:
        await self.servicer.set("", _SERVING if self._problem is None else _NOT_SERVING)

    async def _check(self) -> str | None:
        for name, check in self._checks.items():
            try:
                await asyncio.to_thread(check)
            except Exception as error:  # whatever a check raises, its name is what readiness reports
                self._log.debug("check-failed", check=name, error=error)
                # Errors of the node's own hold no values; others may quote anything.
                self._reason = str(error) if isinstance(error, NodeError) else type(error).__name__
                return name
        self._reason = None
        return None
