"""A client's life: one clock reading a call, timeouts, closing, forks, logging and cheap imports."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.client.test_client_flow import IBAN, MAIL, report
from tests.drafts import report_draft
from tocsin.client import BadArgument, Client, ClientClosed, ForkedClient, TimedOut, system
from tocsin.client.session import Session
from tocsin.wire.values import SignedPartial

CALLS: dict[str, Callable[[Client], object]] = {
    "query": lambda client: client.query([MAIL, IBAN]),
    "submit": lambda client: client.submit(
        [report_draft(MAIL, first_seen=0), report_draft(IBAN, first_seen=0)]
    ),
    "retract": lambda client: client.retract([MAIL, IBAN]),
    "renew": lambda client: client.renew(),
    "flush": lambda client: client.flush(),
    "status": lambda client: client.status(),
    "budget": lambda client: client.budget(),
    "check": lambda client: client.check([MAIL]),
    "key_of": lambda client: client.key_of(MAIL),
    "charter_chain": lambda client: client.charter_chain(),
    "submission": lambda client: client.submission(bytes(16)),
    "watched": lambda client: client.watched(),
    "forks": lambda client: client.forks(),
    "charter": lambda client: client.charter,
    "outbox": lambda client: client.outbox,
    "verify_log": lambda client: client.verify_log(client._session.config.member),
    "watch": lambda client: next(iter(client.watch())),
    "prove": lambda client: client.prove(client._session.config.member, 0),
}


@pytest.mark.parametrize("name", ["query", "submit", "retract", "renew", "status", "check"])
def test_a_call_reads_the_clock_once(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("tocsin.client.querying.CHUNK", 1)
    real, times = system.now, []

    def now() -> int:
        times.append(real())
        return times[-1]

    class Timeless(FakeNode):
        """The node has a clock of its own, which does not count here."""

        def status(self) -> Any:
            with monkeypatch.context() as own:
                own.setattr(system, "now", real)
                return super().status()

    with world.client(0, Timeless(world, world.homes[0].id)) as client:
        client.status()
        monkeypatch.setattr(system, "now", now)
        CALLS[name](client)
    assert len(times) == 1


class Slow(FakeNode):
    """A node that answers evaluations after half a second."""

    def evaluate(self, *arguments: Any) -> list[SignedPartial]:
        system.pause(0.5)
        return super().evaluate(*arguments)


def test_a_timeout_ends_the_call_and_keeps_what_was_paid_for(world: FakeFederation) -> None:
    node = Slow(world, world.homes[0].id)
    values = [("contact.email", f"user{number}@example.com") for number in range(40)]
    with world.client(0, node) as client:
        client.status()
        client._session.evaluator._batch_size, client._session.evaluator._in_flight = 5, 1
        with pytest.raises(TimedOut, match=r"within its timeout of 0\.8 s") as caught:
            client.query(values, timeout=0.8)
        assert caught.value.partial is not None
        assert not caught.value.partial.complete
        paid = node.evaluated
        assert 5 <= paid < 40
        result = client.query(values)
        assert (result.evaluated, result.complete) == (40 - paid, True)


@pytest.mark.parametrize("timeout", [0, -1, "1", True, float("nan")])
def test_a_timeout_is_a_positive_number(world: FakeFederation, timeout: Any) -> None:
    with world.client(0) as client, pytest.raises(BadArgument, match="timeout must be"):
        client.status(timeout=timeout)


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_client_says_so(world: FakeFederation, name: str) -> None:
    client = world.client(0)
    client.close()
    client.close()
    with pytest.raises(ClientClosed, match="closed; open another"):
        CALLS[name](client)


def test_closing_ends_a_call_and_a_watcher_under_way(world: FakeFederation) -> None:
    started, errors = threading.Event(), []

    class Waiting(FakeNode):
        def evaluate(self, *arguments: Any) -> list[SignedPartial]:
            started.set()
            system.pause(0.3)
            return super().evaluate(*arguments)

    client = world.client(0, Waiting(world, world.homes[0].id))

    def work(call: Callable[[Client], object]) -> None:
        try:
            call(client)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(CALLS[name],)) for name in ("query", "watch")]
    for thread in threads:
        thread.start()
    started.wait(5)
    client.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert [type(error) for error in errors] == [ClientClosed] * 2


def _in_child(client: Client, matches: Any, answers: Any) -> None:
    for call in (*CALLS.values(), lambda _: next(matches)):
        try:
            call(client)
            answers.put("no error")
        except Exception as error:
            answers.put((type(error).__name__, str(error)))
    client.close()
    answers.put("closed")


def test_a_client_that_was_carried_over_a_fork_says_so_and_the_parents_works_on(
    world: FakeFederation,
) -> None:
    report(world, 1, MAIL)
    fork = multiprocessing.get_context("fork")
    with world.client(0) as client:
        client.query([MAIL])
        matches = client.watch()
        answers = fork.Queue()
        # Held by a thread of the parent, as it may be when a fork happens: the child must not wait for it.
        with client._session._lock:
            child = fork.Process(target=_in_child, args=(client, matches, answers))
            child.start()
            told = [answers.get(timeout=20) for _ in range(len(CALLS) + 2)]
        child.join(20)
        assert child.exitcode == 0
        assert {name for name, _ in told[:-1]} == {ForkedClient.__name__}
        assert "after a fork; call Client.connect in each process" in told[0][1]
        assert told[-1] == "closed"
        assert client.query([MAIL])


def test_logging_is_silent_by_default_and_holds_no_value_and_no_tag(
    world: FakeFederation, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    tags: list[bytes] = []

    class Noting(FakeNode):
        def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> Any:
            tags.extend(found[at : at + 16] for _, found in groups for at in range(0, len(found), 16))
            return super().look_up(groups)

    report(world, 1, MAIL)
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("tocsin").handlers)
    with (
        caplog.at_level(logging.DEBUG, logger="tocsin"),
        world.client(0, Noting(world, world.homes[0].id)) as client,
    ):
        assert client.query([MAIL, IBAN])
        client.submit([report_draft(MAIL)])
    text = caplog.text
    assert "opened the client" in text
    assert "evaluated 1 elements of class" in text
    assert "acknowledged 1 requests" in text
    assert len(tags) > 3
    for secret in ("mallory", "GB82", *(tag.hex() for tag in tags), *(repr(tag) for tag in tags)):
        assert secret not in text
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_importing_the_package_loads_neither_grpc_nor_sqlite_nor_the_curve() -> None:
    program = (
        "import sys, tocsin.client; "
        "heavy = {'grpc', 'sqlite3', 'asyncio', 'logging', 'nacl', 'tocsin.oprf'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unexpected_error_of_the_core_becomes_one_of_the_clients(world: FakeFederation) -> None:
    from tocsin.charter.errors import UnknownEpoch
    from tocsin.client import CharterRefused

    with world.client(0) as client, pytest.raises(CharterRefused) as caught, client._session.call():
        client._session.charter(system.now()).charter.class_key(3, 99)
    assert isinstance(caught.value.__cause__, UnknownEpoch)
    assert isinstance(client._session, Session)
