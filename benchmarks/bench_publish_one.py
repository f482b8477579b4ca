"""Single durable submits from load processes of their own: latency at an offered rate, then the most that goes through.

1. The load is open: a submit is due at its time, whatever became of those before it, and its latency counts from when
   it was due. So a stall of the node is felt by every submit that falls into it.
2. The load comes from processes of their own, each with its own channel, as the member's client (mutual TLS).
3. Saturated means closed loops, so many in flight that the node is never idle.
4. The node sequences what it took in while the load goes on, at its tick.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import grpc
import measure
from member import sealed_entries

from federation import charter_of, credentials_to, identity_of, running
from tocsin.client.system import now
from tocsin.localnet.federation import Home
from tocsin.v1 import entry_pb2, publishing_pb2, publishing_pb2_grpc

NAME = "publish-one"
PROCESSES = 2
IN_FLIGHT = 32  # of each process, when saturated
P99_MS = 30.0
SATURATED = 1_500.0
LEAD_S = 1.0


def requests(home: Home, count: int) -> list[publishing_pb2.SubmitRequest]:
    """Return submissions of one report each, every one different."""
    period = charter_of(home).period_at(now())
    return [
        publishing_pb2.SubmitRequest(
            idempotency_key=os.urandom(16),
            entries=[entry_pb2.Entry(header=entry.header.encode(), body=entry.body_bytes())],
        )
        for entry in sealed_entries(period, now(), count)
    ]


async def offer(home: Home, rate: float, seconds: float, start: float) -> dict[str, list[float]]:
    """Offer submits at a rate from a moment of the system-wide monotonic clock on; return latencies in ms."""
    count = int(rate * seconds)
    work = requests(home, count)
    latencies: list[float] = []
    failed: list[float] = []

    async with _channel(home) as channel:
        stub = publishing_pb2_grpc.PublishingServiceStub(channel)
        await channel.channel_ready()

        async def submit(request: publishing_pb2.SubmitRequest, due: float) -> None:
            try:
                await stub.Submit(request, timeout=30)
            except grpc.RpcError:
                failed.append(due)
            else:
                latencies.append((time.monotonic() - due) * 1e3)

        tasks = []
        for place, request in enumerate(work):
            due = start + place / rate
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            tasks.append(asyncio.create_task(submit(request, due)))
        await asyncio.gather(*tasks)
    return {"latencies": latencies, "failed": failed}


async def saturate(home: Home, seconds: float, start: float) -> dict[str, list[float]]:
    """Keep submits in flight for a time; return when each was done, in seconds after the start."""
    work = iter(requests(home, int(seconds * 6_000)))
    done: list[float] = []

    async with _channel(home) as channel:
        stub = publishing_pb2_grpc.PublishingServiceStub(channel)
        await channel.channel_ready()
        await asyncio.sleep(max(0.0, start - time.monotonic()))

        async def loop() -> None:
            while time.monotonic() < start + seconds:
                await stub.Submit(next(work), timeout=30)
                done.append(time.monotonic() - start)

        await asyncio.gather(*(loop() for _ in range(IN_FLIGHT)))
    return {"done": done}


def _channel(home: Home) -> grpc.aio.Channel:
    credentials, options = credentials_to(charter_of(home), home.id, identity_of(home, "client"))
    return grpc.aio.secure_channel(f"127.0.0.1:{home.port}", credentials, options=options)


def load(options: argparse.Namespace) -> None:
    """Be one load process."""
    home = Home("", bytes.fromhex(options.member), Path(options.folder), options.port)
    work = (
        offer(home, options.rate, options.seconds, options.start)
        if options.load == "offer"
        else saturate(home, options.seconds, options.start)
    )
    sys.stdout.write(json.dumps(asyncio.run(work)))


def loads(home: Home, kind: str, rate: float, seconds: float) -> list[Mapping[str, list[float]]]:
    """Run the load processes side by side and return what each says."""
    # They prepare their submissions first; every process's monotonic clock is the machine's.
    start = time.monotonic() + LEAD_S + 2 + rate * seconds / 20_000
    command = [
        sys.executable, __file__, "--load", kind, "--folder", str(home.folder), "--member", home.id.hex(),
        "--port", str(home.port), "--rate", str(rate / PROCESSES), "--seconds", str(seconds), "--start", str(start),
    ]  # fmt: skip
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    told = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError("a load process failed; its message is above")
    return [json.loads(answer) for answer in told]


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the offered rate lasts")
    parser.add_argument("--rate", type=float, default=1_000.0, help="submits a second in all")
    parser.add_argument("--saturated-seconds", type=float, default=10.0)
    parser.add_argument("--tick", type=int, default=60, help="seconds between two ticks of the node")
    hidden = {"help": argparse.SUPPRESS}
    parser.add_argument("--load", choices=("offer", "saturate"), **hidden)  # type: ignore[arg-type] # all are strings
    for name, kind in (("folder", str), ("member", str), ("port", int), ("start", float)):
        parser.add_argument(f"--{name}", type=kind, **hidden)  # type: ignore[arg-type] # as above
    options = parser.parse_args()
    if options.load:
        load(options)
        return
    if options.smoke:
        options.seconds, options.rate, options.saturated_seconds = 1.0, 50.0, 1.0

    with running(1, threshold=1, tick_seconds=options.tick) as federation:
        home = federation.homes[0]
        spent = measure.cpu_of(federation.process_ids)
        told = loads(home, "offer", options.rate, options.seconds)
        latencies = sorted(latency for process in told for latency in process["latencies"])
        failed = sum(len(process["failed"]) for process in told)
        offered_cpu = measure.cpu_of(federation.process_ids) - spent
        before = measure.cpu_of(federation.process_ids)
        told = loads(home, "saturate", 0, options.saturated_seconds)
        saturated_cpu = measure.cpu_of(federation.process_ids) - before
        done = sorted(latency for process in told for latency in process["done"])
        # The first second warms up, the last is cut short in each process.
        counted = [
            latency
            for latency in done
            if 0.2 * options.saturated_seconds < latency < options.saturated_seconds
        ]
        saturated = len(counted) / (0.8 * options.saturated_seconds)
        spent = measure.cpu_of(federation.process_ids) - spent
        peak = measure.peak_mib(federation.process_ids)
    p99 = measure.quantile(latencies, 0.99)
    measure.tell(
        NAME,
        [
            measure.Figure(
                f"p99 of a durable submit, {options.rate:,.0f}/s offered for {options.seconds:g} s",
                "ms",
                p99,
                0.0,
                0.0,
                f"≤ {P99_MS:g} ms",
                p99 <= P99_MS and not failed,
                {
                    "p50, ms": measure.quantile(latencies, 0.5),
                    "p99.9, ms": measure.quantile(latencies, 0.999),
                    "longest, ms": latencies[-1],
                    "failed": failed,
                    "node's CPU µs a submit": offered_cpu / max(1, len(latencies)) * 1e6,
                    "tick, s": options.tick,
                },
            ),
            measure.Figure(
                "durable submits, saturated",
                "submits/s",
                saturated,
                0.0,
                0.0,
                f"≥ {SATURATED:,.0f}/s",
                saturated >= SATURATED,
                {
                    "in flight": IN_FLIGHT * PROCESSES,
                    "node's CPU µs a submit": saturated_cpu / max(1, len(done)) * 1e6,
                },
            ),
        ],
        samples=len(latencies),
        cpu_seconds=spent,
        peak=peak,
    )


if __name__ == "__main__":
    main()
