"""Templates reported by two clients of one member: each with a vault of its own, or both on one."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.client.fake_node import FakeFederation
from tests.client.templates import BANDS, template
from tests.client.test_client_bands import found, like, report, second_client, send
from tocsin.client import system
from tocsin.client.errors import BadVault
from tocsin.client.templates import records
from tocsin.client.vault_lock import VaultLock
from tocsin.oprf.group import Random
from tocsin.sealing.record import Record, make_record

HOLD = """
import sys
from pathlib import Path
from tocsin.client.vault_lock import VaultLock
with VaultLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


pytestmark = pytest.mark.usefixtures("few_bands")


def test_another_client_of_the_member_takes_a_template_back(world: FakeFederation) -> None:
    node = report(world, 1, template("a"), template("near", "a", places=range(5)), confidence=7)
    with second_client(world, 1, node) as second:
        second.retract([template("a")])
        node.tick()
        assert found(world, like(BANDS)) == [(7, 5)]
        assert found(world, template("x", "a", "near", range(5))) == [(7, 6)]


@pytest.mark.parametrize("ticks", [True, False])
def test_a_re_report_replaces_the_record_of_another_client(world: FakeFederation, ticks: bool) -> None:
    node = world.node(1)
    near = template("near", "a", places=range(5))
    with world.client(1, node) as client, second_client(world, 1, node) as second:
        send(client, near, template("a"), confidence=1)
        if ticks:
            node.tick()
        send(second, template("a"), confidence=2)
        node.tick()
        if ticks:
            # The similar one is another template, so it stands.
            assert found(world, like(4)) == [(1, 4), (2, 4)]
        send(client, template("a"), confidence=3)
        node.tick()
        assert found(world, like(4)) == [(1, 4), (3, 4)]
        # Whoever takes it back takes back all three.
        second.retract([template("a")])
        node.tick()
        assert found(world, like(4)) == [(1, 4)]
        assert found(world, template("a", own="x")) == []


def test_two_clients_that_renew_within_a_tick_leave_one_record(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = report(world, 1, template("a"), confidence=1)
    with world.client(1, node) as client, second_client(world, 1, node) as second:
        send(second, template("a"), confidence=2)
        node.tick()
        later = system.now() + 31 * 86_400
        monkeypatch.setattr("tocsin.client.system.now", lambda: later)
        assert second.renew().accepted == BANDS + 2
        # The first client cannot know of it yet, so it renews too.
        assert client.renew().accepted == BANDS + 2
        node.tick()
        assert client.renew().accepted == second.renew().accepted == 0
        # One of the earlier period, one of this.
        assert found(world, like(4)) == [(2, 4), (2, 4)]


def test_slots_are_carried_within_an_epoch_and_a_period_until_they_expire(world: FakeFederation) -> None:
    with world.client(1) as client:
        send(client, template("a"))
        skeletons = client._session.vault.templates
        (kept,) = skeletons.records([client.key_of(template("a"))])
        bands = skeletons.bands([kept.skeleton])[kept.skeleton]
        now = system.now()
        assert kept.reported <= now < kept.not_after
        standing = {band: [kept.record.slot(x)] for x, band in enumerate(bands, 1)}
        assert skeletons.slots(bands, kept.epoch, kept.period, now) == standing
        assert skeletons.slots(bands, kept.epoch + 1, kept.period, now) == {}
        assert skeletons.slots(bands, kept.epoch, kept.period + 1, now) == {}
        assert skeletons.slots(bands, kept.epoch, kept.period, kept.not_after) == {}
        assert skeletons.with_any_of([bands[2]]) == {kept.skeleton: bands}
        skeletons.keep_records([], kept.not_after)
        assert skeletons.known_refs() == frozenset()


def test_of_two_clients_on_one_vault_none_misses_the_slot_of_the_other(
    world: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would have read what stands before either keeps its own, if that were not one step."""
    one, other = template("one", "a", places=range(4)), template("other", "a", places=range(4))
    node, together = world.node(1), threading.Barrier(2)

    def make(bands: int, threshold: int, random: Random) -> Record:
        with suppress(threading.BrokenBarrierError):
            together.wait(0.5)
        return make_record(bands, threshold, random)

    monkeypatch.setattr(records, "make_record", make)
    with world.client(1, node) as first, world.client(1, node) as second:
        threads = [threading.Thread(target=send, args=turn) for turn in ((first, one), (second, other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        node.tick()
    assert together.broken
    assert found(world, like(4)) == [(80, 4), (80, 4)]


def test_a_lock_is_one_process_alone_until_it_ends(tmp_path: Path) -> None:
    vault = tmp_path / "vault.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(vault)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        had = threading.Event()

        def wait() -> None:
            turn = VaultLock(vault)
            with turn, turn:
                had.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not had.wait(0.3)
        process.kill()
        assert had.wait(10)
        waiting.join()
    assert (tmp_path / "vault.db-lock").stat().st_mode & 0o777 == 0o600


def test_a_lock_that_was_left_is_free_for_the_next(tmp_path: Path) -> None:
    one, other = VaultLock(tmp_path / "vault.db"), VaultLock(tmp_path / "vault.db")
    for client in (one, other, one):
        with pytest.raises(ZeroDivisionError), client:
            raise ZeroDivisionError
    with one, one:
        pass
    with other:
        pass


def test_a_lock_that_cannot_be_had_says_where(tmp_path: Path) -> None:
    with (
        pytest.raises(BadVault, match=r"vault\.db-lock: cannot be locked"),
        VaultLock(tmp_path / "gone" / "vault.db"),
    ):
        pass


def test_a_lock_that_is_not_given_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.client.vault_lock.WAIT_S", 0.1)
    with (
        VaultLock(tmp_path / "vault.db"),
        pytest.raises(BadVault, match=r"vault\.db-lock: another process has held the lock"),
        VaultLock(tmp_path / "vault.db"),
    ):
        pass


def test_a_link_in_place_of_the_lock_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vault.db-lock").symlink_to(tmp_path / "else")
    with pytest.raises(BadVault, match="cannot be locked"), VaultLock(tmp_path / "vault.db"):
        pass
    assert not (tmp_path / "else").exists()
