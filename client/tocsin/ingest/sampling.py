"""From exchanges to the texts that may be in an account's sample (phase 1 of `tocsin ingest`).

1. Windows are aligned: of W days each, counted since 1970. An account is sampled in each window by itself.
2. A conversation's place is `place_of` its id under the sampling key; where the format has no id, of its system prompt
   and its first user turn. Of the places of an account the k smallest seen so far are held, not their texts.
3. A text whose place is among these goes to the spill at once. So the spill holds at least the texts of the k smallest
   of all, in whatever order exchanges come, and of one conversation the text with the earliest time.
4. Facts of an account are held (see `facts`). Tool schemas are spilled when first seen, as they can be large. A text
   without a user turn never displaces one with a turn, however early it was sent.
5. When more accounts are held than allowed, the facts of all go to the spill and the accounts are forgotten: memory
   does not grow with the number of accounts, only the spill does.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from tocsin.indicators.ptf2.account import place_of
from tocsin.indicators.ptf2.normalising import MAX_BYTES
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.facts import ADDRESS, DEVICE, JA4, MAX_FACTS, Facts
from tocsin.ingest.facts import TOOLS as TOOL_SET
from tocsin.ingest.spilling import PARTITIONS, Spill

DEFAULT_K = 32
DEFAULT_WINDOW_DAYS = 28
MAX_ACCOUNTS = 40_000
"""How many accounts (in windows) a worker holds."""
TEXT, FACTS, TOOLS = 0, 1, 2
"""First item of a spilled row; then account and window, then what the rows below say."""

DAY = 86_400
_NO_PLACE = 1 << 64
_NO_TURN = 1e12
"""Added to the time of a text without a user turn, later than any with one."""
_MAX_TOOLS_TEXT = 1 << 18
_HOUR = 3_600


def partition_of(key: bytes, account: str) -> int:
    """Return the partition of an account: nobody outside can choose it."""
    return place_of(key, account) % PARTITIONS


class _Account:
    """What is held of one account in one window."""

    __slots__ = ("exchanges", "facts", "first", "last", "limit", "partition", "places", "tools")

    def __init__(self, partition: int, time: float) -> None:
        self.partition = partition
        self.exchanges = 0
        self.first = self.last = time
        self.places: dict[int, tuple[float, int]] = {}
        self.limit = _NO_PLACE
        self.facts = Facts()
        self.tools: dict[int, str] = {}
        """The place of each set of tools as text, by the hash of its text."""


class Sampler:
    """Takes exchanges in any order and spills what phase 2 needs (rules 1 to 5)."""

    def __init__(
        self, key: bytes, spill: Spill, k: int, window_days: int, max_accounts: int = MAX_ACCOUNTS
    ) -> None:
        self._key, self._spill, self._k = key, spill, k
        self._window_seconds = window_days * DAY
        self._max_accounts = max_accounts
        self._held: dict[tuple[str, int], _Account] = {}

    def take(self, exchanges: Iterable[Exchange]) -> int:
        """Take exchanges; return how many there were."""
        # Everything an exchange passes through is local: this loop decides how fast a provider's logs are read.
        held, key, seconds, digest = self._held, self._key, self._window_seconds, blake2b
        count = 0
        for exchange in exchanges:
            count += 1
            time = exchange.time
            name = (exchange.account, int(time) // seconds)
            account = held.get(name)
            if account is None:
                account = self._hold(name, time)
            account.exchanges += 1
            if time > account.last:
                account.last = time
            elif time < account.first:
                account.first = time
            turn, system = exchange.first_user_turn, exchange.system
            place = None
            # P-1.2: one place for each conversation, by its id or else by its texts.
            if text := exchange.conversation or (f"{system or ''}\x1f{turn or ''}" if turn or system else ""):
                # `place_of` written out: a call would be a fifth of the loop.
                place = int.from_bytes(
                    digest(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "big"
                )
            self._facts(name, account, exchange, place)
            if place is not None and (turn or system) and place <= account.limit:
                self._place(name, account, place, time, system, turn)
        return count

    def flush(self) -> None:
        """Spill the facts of all accounts and forget them (rule 5)."""
        for (name, window), each in self._held.items():
            each.facts.trim(self._key)
            facts = [each.facts.rows(), f"{each.facts.hours:x}"]
            self._spill.add(
                each.partition, [FACTS, name, window, each.exchanges, int(each.first), int(each.last), *facts]
            )
        self._held.clear()

    def _hold(self, name: tuple[str, int], time: float) -> _Account:
        if len(self._held) >= self._max_accounts:
            self.flush()
        account = self._held[name] = _Account(partition_of(self._key, name[0]), time)
        return account

    def _place(
        self,
        name: tuple[str, int],
        account: _Account,
        place: int,
        time: float,
        system: str | None,
        turn: str | None,
    ) -> None:
        places = account.places
        stamp = (time + (0.0 if turn else _NO_TURN), hash((system, turn)))
        known = places.get(place)
        if known is not None and (known[0] < stamp[0] or known == stamp):
            return
        places[place] = stamp
        if len(places) > self._k:
            del places[max(places)]
        if len(places) == self._k:
            account.limit = max(places)
        row = [TEXT, *name, place, stamp[0], (system or "")[:MAX_BYTES], (turn or "")[:MAX_BYTES]]
        self._spill.add(account.partition, row)

    def _facts(self, name: tuple[str, int], account: _Account, exchange: Exchange, place: int | None) -> None:
        facts, time = account.facts, exchange.time
        facts.hours |= 1 << int(time) % self._window_seconds // _HOUR
        if exchange.address is not None:
            facts.seen(ADDRESS, exchange.address, time, place)
        if exchange.ja4 is not None:
            facts.seen(JA4, exchange.ja4, time, place)
        if exchange.device is not None:
            facts.seen(DEVICE, exchange.device, time, place)
        for type, value in exchange.values:
            facts.seen(type, value, time, place)
        if exchange.tools is not None and (tools := self._tools(name, account, exchange.tools)) is not None:
            facts.seen(TOOL_SET, tools, time, place)
        if len(facts.values) > 8 * MAX_FACTS:
            facts.trim(self._key)

    def _tools(self, name: tuple[str, int], account: _Account, tools: str) -> str | None:
        """The place of a set of tools as text, which stands for it until phase 2; None where it is too long."""
        known = account.tools.get(hash(tools))
        if known is not None or len(tools) > _MAX_TOOLS_TEXT:
            return known
        if len(account.tools) >= 2 * MAX_FACTS:
            account.tools.clear()
        place = place_of(self._key, tools)
        self._spill.add(account.partition, [TOOLS, *name, place, tools])
        known = account.tools[hash(tools)] = str(place)
        return known
