"""From values to verified outputs: a client, its own node, and t = 2 of 3 real nodes.

Product: the client blinds, its node fans out to two evaluators and relays, the client verifies signatures and proofs,
combines and finalizes; CPU of the client and of all three nodes, per value. Primitive: the sum, in one thread, of what
a value cannot do without: blind; at each of two evaluators decode, multiply, prove and sign; at the client decode and
verify both, combine, finalize.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import measure

from federation import Federation, running
from tocsin.charter.document import ClassKey
from tocsin.client.charters import ActiveCharter, CharterKeeper
from tocsin.client.config import load_config, open_secrets
from tocsin.client.evaluating import Evaluator, Wanted
from tocsin.client.system import now
from tocsin.client.transport import GrpcNode
from tocsin.client.vault import open_vault
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.oprf import group, rfc9497, shares, threshold
from tocsin.oprf.rfc9497 import Output
from tocsin.oprf.threshold import Context
from tocsin.primitives.ed25519 import verify_signature

NAME = "evaluate-verified"
TARGET = 1.25
TYPE = "contact.email"


class Steps:
    """The primitives, each timed on one batch; adds up CPU microseconds a value."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.spent: dict[str, float] = {}

    def run(self, name: str, action: Callable[[], object]) -> None:
        """Do one step and add what it took to its name."""
        self.spent[name] = self.spent.get(name, 0.0) + measure.cpu(action) / self._size * 1e6


def primitives(size: int) -> dict[str, float]:
    """Return CPU microseconds a value by step, all of one batch, under a key made for it."""
    from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

    dealt = shares.split(group.random_scalar(os.urandom), 3, 2, os.urandom)
    public, private = crypto_sign_seed_keypair(os.urandom(32))
    members = [os.urandom(16) for _ in range(3)]
    inputs = [threshold.oprf_input(TYPE, os.urandom(12)) for _ in range(size)]
    steps = Steps(size)
    blindings: list[rfc9497.Blinding] = []
    blinded: list[group.Element] = []

    def blind() -> None:
        made = rfc9497.blind(inputs, os.urandom)
        blindings.extend(made[0])
        blinded.extend(made[1])

    steps.run("blind", blind)
    partials = []
    for seat in (1, 2):
        context = Context("bench.example", 3, 1, bytes(32), seat, members[seat - 1], members[2], (1, 2))
        share = dealt.shares[seat - 1]
        made: list[threshold.PartialEvaluation] = []
        signed: list[bytes] = []
        steps.run("evaluator: decode", lambda: group.decode_elements([bytes(element) for element in blinded]))
        steps.run(
            "evaluator: multiply and prove",
            lambda context=context, share=share, made=made: made.append(  # type: ignore[misc] # bound now, run now
                threshold.evaluate(share, dealt.commitments, context, blinded, os.urandom)
            ),
        )
        partial = made[0]
        partials.append(partial)
        steps.run(
            "evaluator: sign",
            lambda context=context, partial=partial, signed=signed: signed.append(  # type: ignore[misc] # as above
                crypto_sign(threshold.signed_statement(context, blinded, partial, 1, 1), private)[:64]
            ),
        )
        steps.run(
            "client: decode",
            lambda partial=partial: group.decode_elements(  # type: ignore[misc] # as above
                [bytes(element) for element in partial.evaluated]
            ),
        )

        def verify(
            context: Context = context,
            partial: threshold.PartialEvaluation = partial,
            signed: list[bytes] = signed,
        ) -> None:
            statement = threshold.signed_statement(context, blinded, partial, 1, 1)
            verify_signature(public, statement, signed[0])
            threshold.verify(dealt.commitments, context, blinded, partial)

        steps.run("client: verify", verify)
    combined: list[group.Element] = []
    steps.run("client: combine", lambda: combined.extend(threshold.combine(partials)))
    steps.run("client: finalize", lambda: rfc9497.finalize(blindings, combined))
    return steps.spent


class Asking:
    """A member's client, down to the one service that turns values into outputs."""

    def __init__(self, federation: Federation, batch_size: int) -> None:
        config = load_config(federation.homes[0].client)
        secrets = open_secrets(config)
        self._vault = open_vault(
            config.vault,
            secrets["vault"],
            federation=config.federation,
            member=config.member,
            pin=config.charter_pin,
            random=os.urandom,
        )
        keeper = CharterKeeper(config, self._vault, secrets["client_hpke"])
        standing = keeper.load(now())
        if standing is None:
            raise RuntimeError("the charter that was just installed is not there")
        self._standing: ActiveCharter = standing
        self._key: ClassKey = standing.live_classes(int(KeyClass.CONTACT), now())[0]
        self._node = GrpcNode(config, secrets["tls"], keeper.certificate_authority())
        self._evaluator = Evaluator(self._node, self._vault.pending, os.urandom, batch_size, config.in_flight)

    def values(self, count: int) -> int:
        """Evaluate fresh values; returns how many outputs came back."""
        wanted = [Wanted(os.urandom(16), Observable(TYPE, os.urandom(12))) for _ in range(count)]
        kept = 0

        def keep(_: Sequence[Wanted], outputs: Sequence[Output]) -> None:
            nonlocal kept
            kept += len(outputs)

        self._evaluator.evaluate(self._standing, self._key, wanted, keep)
        return kept

    def close(self) -> None:
        """Stop threads, channel and vault."""
        self._evaluator.close()
        self._node.close()
        self._vault.close()


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--values", type=int, default=12_000, help="values of a turn")
    parser.add_argument("--size", type=int, default=1_000, help="values of a batch")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.values, options.size = 1, 100, 50

    with running(3, threshold=2, tick_seconds=60) as federation:
        asking = Asking(federation, options.size)
        values: int = options.values
        rates: list[float] = []
        client_share: list[float] = []
        steps: list[dict[str, float]] = []

        def product() -> float:
            own, theirs, began = (
                time.process_time(),
                measure.cpu_of(federation.process_ids),
                time.perf_counter(),
            )
            if asking.values(values) != values:
                raise RuntimeError("not every value came back")
            rates.append(values / (time.perf_counter() - began))
            own = time.process_time() - own
            theirs = measure.cpu_of(federation.process_ids) - theirs
            client_share.append(own / values * 1e6)
            return (own + theirs) / values * 1e6

        def primitive() -> float:
            steps.append(primitives(options.size))
            return sum(steps[-1].values())

        asking.values(options.size)
        spent = measure.cpu_of(federation.process_ids)
        made, needed = measure.in_turns(options.rounds, product, primitive, warm_up=0 if options.smoke else 1)
        spent = measure.cpu_of(federation.process_ids) - spent
        asking.close()
        ratio = measure.median(made) / measure.median(needed)
        more = {f"{name}, µs": measure.median([step[name] for step in steps]) for name in steps[0]}
        more |= {
            "values/s": measure.median(rates),
            "client in all, µs": measure.median(client_share),
        }
        measure.tell(
            NAME,
            [
                measure.Figure(
                    f"CPU of all parties a value, t = 2 of 3, batches of {options.size:,}",
                    "µs",
                    measure.median(made),
                    measure.median(needed),
                    ratio,
                    f"≤ {TARGET:.2f} × the primitives",
                    ratio <= TARGET,
                    more,
                )
            ],
            samples=options.rounds,
            cpu_seconds=spent,
            peak=measure.peak_mib(federation.process_ids),
        )


if __name__ == "__main__":
    main()
