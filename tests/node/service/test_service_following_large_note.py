"""An origin whose checkpoint is so large that cosignatures do not fit: nobody stores what nobody could read."""

import asyncio

from tests.fakes.federation import founded, keys_of, member_id
from tocsin.node.service.log_keys import cosigner, log_signer, open_note
from tocsin.tlog.checkpoint import Checkpoint, sign_checkpoint
from tocsin.tlog.cosignature import add_cosignature
from tocsin.tlog.note import MAX_NOTE_BYTES
from tocsin.wire.values import MemberId


def test_it_is_refused_and_what_was_held_stays_readable() -> None:
    with founded() as federation:
        node, origin = federation[2], member_id(1)
        asyncio.run(federation[1].publishing.tick())

        def swollen(_: MemberId, notes: dict[MemberId, bytes]) -> dict[MemberId, bytes]:
            head = open_note(federation.charter, origin, notes[origin]).checkpoint
            signer = log_signer(federation.charter, origin, keys_of(1))
            own, now = cosigner(federation.charter, origin, keys_of(1)), federation.clock.now()

            def made(filler: int) -> bytes:
                checkpoint = Checkpoint(head.origin, head.size, head.root, ("x" * filler,))
                return add_cosignature(sign_checkpoint(checkpoint, signer), own, now)

            # It leaves 100 bytes: less than a cosignature.
            return {origin: made(MAX_NOTE_BYTES - 100 - len(made(1)) + 1)}

        node.wire.shown = swollen
        asyncio.run(node.following.round(origin))
        assert "131072" in node.following.peer(origin).problem
        node.wire.shown = None
        asyncio.run(node.following.round(origin))
        assert node.following.peer(origin).problem == ""
        tip = node.gateway.read_now(lambda snapshot: snapshot.tip(origin))
        assert open_note(federation.charter, origin, tip.checkpoint).checkpoint.size == tip.size > 0
