"""A chain of charters, verified from the pin: each version against the one before it (M-3.4, M-3.5, M-3.13).

A chain may pass through versions that have expired since. Whoever works under the newest one checks that with
`rules.check_fresh`.
"""

from collections.abc import Iterable

from tocsin.charter.document import Charter
from tocsin.charter.envelope import SignedCharter
from tocsin.charter.rules import verify_founding, verify_next


def verify_step(current: Charter | None, signed: SignedCharter, pin: bytes | None, now: int) -> Charter:
    """Return the charter that follows `current`, or version 1 by its 32-byte `pin` where there is none yet.

    `now` is unix seconds. Raises `BadCharter`, as a subclass that names the rule.
    """
    if current is None:
        return verify_founding(signed, pin, now)
    return verify_next(current, signed, now)


def verify_chain(envelopes: Iterable[SignedCharter], pin: bytes, now: int) -> tuple[Charter, ...]:
    """Return every charter from version 1 on, ascending, all verified. Raises `BadCharter` at the first that is not."""
    chain: list[Charter] = []
    for signed in envelopes:
        chain.append(verify_step(chain[-1] if chain else None, signed, pin, now))
    return tuple(chain)
