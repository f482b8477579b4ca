"""A chain of charters, verified from the pin: each version against those before it (M-3.4, M-3.5, M-3.13).

1. A chain may pass through versions that have expired since. Whoever works under the newest one checks that with
   `rules.check_fresh`.
2. A public key serves one class and epoch, over the whole chain: an epoch that was dropped does not come back under
   another name (M-3.17).
"""

from collections.abc import Iterable, Sequence

from tocsin.charter.document import Charter
from tocsin.charter.envelope import SignedCharter
from tocsin.charter.errors import KeyUsedTwice
from tocsin.charter.rules import verify_founding, verify_next, verify_pinned


def verify_step(chain: Sequence[Charter], signed: SignedCharter, pin: bytes | None, now: int) -> Charter:
    """Return the charter that follows the last of a verified, ascending `chain`; with none, version 1 by its `pin`.

    `pin` is 32 bytes, `now` unix seconds. Raises `BadCharter`, as a subclass that names the rule.
    """
    if not chain:
        return verify_founding(signed, pin, now)
    charter = verify_next(chain[-1], signed, now)
    _check_key_owners(chain, charter)
    return charter


def verify_chain(envelopes: Iterable[SignedCharter], pin: bytes, now: int) -> tuple[Charter, ...]:
    """Return every charter from the pinned one on, ascending, all verified.

    Raises `BadCharter` at the first that is not.
    """
    chain: list[Charter] = []
    for signed in envelopes:
        chain.append(verify_step(chain, signed, None, now) if chain else verify_pinned(signed, pin, now))
    return tuple(chain)


def _check_key_owners(chain: Sequence[Charter], charter: Charter) -> None:
    # M-3.17: for ever, over classes and epochs.
    owners = {key.public_key: (key.key_class, key.epoch) for before in chain for key in before.classes}
    for at, key in enumerate(charter.classes):
        owner = owners.get(key.public_key, (key.key_class, key.epoch))
        if owner != (key.key_class, key.epoch):
            raise KeyUsedTwice(
                "one-key",
                f"$.classes[{at}].commitments",
                f"its public key was that of class {owner[0]}, epoch {owner[1]}: generate another",
            )
