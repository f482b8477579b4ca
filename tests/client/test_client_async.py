"""`AsyncClient` has the methods of `Client`; what cancelling and closing do."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_flow import IBAN, MAIL, report
from tests.drafts import report_draft
from tests.federation import Federation
from tocsin.client import AsyncClient, Client, ClientClosed, TimedOut, ValuesRefused, system
from tocsin.wire.values import SignedPartial

# Entered and left otherwise, and made by `connect` from another thing.
OWN = {"__enter__", "__exit__", "__aenter__", "__aexit__", "__init__"}


def methods(kind: type) -> dict[str, Any]:
    return {
        name: member
        for name, member in vars(kind).items()
        if name not in OWN and (not name.startswith("_") or name == "__repr__")
    }


def test_both_clients_have_the_same_methods_with_the_same_signatures() -> None:
    sync, asynchronous = methods(Client), methods(AsyncClient)
    assert sync.keys() == asynchronous.keys()
    for name, member in sync.items():
        other = asynchronous[name]
        assert type(member) is type(other), name
        if isinstance(member, property):
            continue
        given = inspect.signature(getattr(member, "__func__", member), eval_str=True)
        taken = inspect.signature(getattr(other, "__func__", other), eval_str=True)
        assert given.parameters == taken.parameters, name
        if name == "watch":
            assert inspect.isasyncgenfunction(other)
        elif name == "connect":
            assert (given.return_annotation, taken.return_annotation) == (Client, AsyncClient)
        elif name != "__repr__":
            assert inspect.iscoroutinefunction(other), name
            assert given.return_annotation == taken.return_annotation, name


def test_every_method_works_over_a_real_node(federation: Federation) -> None:
    async def work() -> None:
        async with await AsyncClient.connect(federation.homes[0].client) as client:
            assert "AsyncClient(federation=" in repr(client)
            result = await client.query([("contact.email", "nobody-async@example.com")])
            assert (bool(result), result.evaluated) == (False, 1)
            assert {heard.name for heard in result.last_heard} == {home.name for home in federation.homes[1:]}
            assert (await client.charter).version == 1
            assert await client.outbox == 0
            assert len(await client.charter_chain()) == 1
            assert len(await client.key_of(MAIL)) == 16
            assert await client.check([MAIL]) == ()
            receipt = await client.submit([report_draft(("contact.email", "async@example.com"))])
            assert receipt.accepted == 1
            assert await client.submission(receipt.submissions[0]) is not None
            assert (await client.retract([("contact.email", "async@example.com")])).accepted == 1
            assert (await client.renew()).accepted == 0
            assert (await client.flush()).accepted == 0
            assert (await client.watched())[1] == 2
            assert len((await client.budget()).budgets) > 0
            assert (await client.status()).member_name == federation.homes[0].name
            assert await client.forks() == []
            async with asyncio.timeout(20):  # its own log is there after its node's next tick
                while not any(
                    log.writer == federation.homes[0].id and log.size for log in (await client.status()).logs
                ):
                    await asyncio.sleep(0.1)
            report_ = await client.verify_log(federation.homes[0].id)
            assert report_.size >= 1
            with pytest.raises(ValuesRefused):
                await client.query([("payment.iban", "nonsense")])

    asyncio.run(work())


class Slow(FakeNode):
    """A node that answers evaluations after a fifth of a second."""

    def evaluate(self, *arguments: Any) -> list[SignedPartial]:
        system.pause(0.2)
        return super().evaluate(*arguments)


def test_cancelling_ends_the_wait_at_once_and_the_work_at_its_next_request(world: FakeFederation) -> None:
    node = Slow(world, world.homes[0].id)
    values = [("contact.email", f"user{number}@example.com") for number in range(40)]

    async def work() -> tuple[float, int]:
        client = AsyncClient(world.client(0, node))
        session = client._client._session
        session.evaluator._batch_size, session.evaluator._in_flight = 2, 1
        await client.status()
        asking = asyncio.create_task(client.query(values))
        await asyncio.sleep(0.5)
        began = system.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        waited = system.monotonic() - began
        await asyncio.sleep(0.5)
        paid = node.evaluated
        await asyncio.sleep(0.5)
        assert node.evaluated == paid
        # Another call of the same client is not cancelled with it, and finds what was paid for.
        result = await client.query(values[:paid])
        assert result.evaluated == 0
        await client.close()
        return waited, paid

    waited, paid = asyncio.run(work())
    assert waited < 0.15
    assert 2 <= paid <= 10


def test_a_timeout_and_closing_are_as_with_the_other_client(world: FakeFederation) -> None:
    async def work() -> None:
        client = AsyncClient(world.client(0, Slow(world, world.homes[0].id)))
        await client.status()
        with pytest.raises(TimedOut):
            await client.query([MAIL], timeout=0.01)
        asking = asyncio.create_task(client.query([("contact.email", "late@example.com"), IBAN]))
        await asyncio.sleep(0.05)
        await client.close()
        with pytest.raises(ClientClosed):
            await asking
        with pytest.raises(ClientClosed):
            await client.status()

    asyncio.run(work())


def test_watching_yields_matches_and_leaving_the_loop_stops_the_watcher(world: FakeFederation) -> None:
    async def work() -> None:
        stop = threading.Event()
        async with AsyncClient(world.client(0)) as client:
            await client.query([MAIL])
            await asyncio.to_thread(report, world, 1, MAIL)
            watching = client.watch(stop)
            match = await anext(watching)
            assert (match.type, match.values) == ("contact.email", ())
            await watching.aclose()
            assert stop.is_set()

    asyncio.run(work())
