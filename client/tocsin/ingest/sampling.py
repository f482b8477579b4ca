"""From exchanges to the texts that may be in an account's sample (phase 1 of `tocsin ingest`).

1. Windows are aligned: of W days each, counted since 1970. An account is sampled in each window by itself.
2. A conversation's place is `place_of` its id under the sampling key; where the format has no id, of its system prompt
   and its first user turn. Of the places of an account the k smallest seen so far are held, not their texts.
3. A text whose place is among these goes to the spill at once. So the spill holds at least the texts of the k smallest
   of all, in whatever order exchanges come, and of one conversation the text with the earliest time.
4. Facts of an account (exchanges, first and last time, addresses, JA4) are held; of addresses and JA4 each the 64 with
   the smallest places, cut to 256 characters: none is so long, and what is cut is still refused. Tool schemas are
   spilled when first seen, as they can be large.
5. When more accounts are held than allowed, the facts of all go to the spill and the accounts are forgotten: memory
   does not grow with the number of accounts, only the spill does.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from tocsin.indicators.ptf2.account import place_of
from tocsin.indicators.ptf2.normalising import MAX_BYTES
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.spilling import PARTITIONS, Spill

DEFAULT_K = 32
DEFAULT_WINDOW_DAYS = 28
MAX_ACCOUNTS = 40_000
"""How many accounts (in windows) a worker holds."""
MAX_FACTS = 64
"""How many addresses, JA4s and tool sets of an account are kept."""

TEXT, FACTS, TOOLS = 0, 1, 2
"""First item of a spilled row; then account and window, then what the rows below say."""

DAY = 86_400
_NO_PLACE = 1 << 64
_MAX_TOOLS_TEXT = 1 << 18
_MAX_FACT_TEXT = 256


def partition_of(key: bytes, account: str) -> int:
    """Return the partition of an account: nobody outside can choose it."""
    return place_of(key, account) % PARTITIONS


def smallest(key: bytes, values: Iterable[str]) -> list[str]:
    """Return the `MAX_FACTS` of distinct values with the smallest places, sorted: the same in any order (rule 4)."""
    found = set(values)
    if len(found) > MAX_FACTS:
        found = set(sorted(found, key=lambda each: place_of(key, each))[:MAX_FACTS])
    return sorted(found)


class _Account:
    """What is held of one account in one window."""

    __slots__ = ("addresses", "exchanges", "first", "ja4", "last", "limit", "partition", "places", "tools")

    def __init__(self, partition: int, time: float) -> None:
        self.partition = partition
        self.exchanges = 0
        self.first = self.last = time
        self.places: dict[int, tuple[float, int]] = {}
        self.limit = _NO_PLACE
        self.addresses: set[str] = set()
        self.ja4: set[str] = set()
        self.tools: set[int] = set()


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
            if (address := exchange.address) is not None and address not in account.addresses:
                self._fact(account.addresses, address)
            if (ja4 := exchange.ja4) is not None and ja4 not in account.ja4:
                self._fact(account.ja4, ja4)
            if (tools := exchange.tools) is not None and hash(tools) not in account.tools:
                self._tools(name, account, tools)
            turn, system = exchange.first_user_turn, exchange.system
            if turn is None and system is None:
                continue
            # P-1.2: one place for each conversation, by its id or else by its texts.
            text = exchange.conversation or f"{system or ''}\x1f{turn or ''}"
            # `place_of` written out: a call would be a fifth of the loop.
            place = int.from_bytes(
                digest(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "big"
            )
            if place <= account.limit:
                self._place(name, account, place, time, system, turn)
        return count

    def flush(self) -> None:
        """Spill the facts of all accounts and forget them (rule 5)."""
        for (name, window), each in self._held.items():
            addresses, ja4 = smallest(self._key, each.addresses), smallest(self._key, each.ja4)
            self._spill.add(
                each.partition,
                [FACTS, name, window, each.exchanges, int(each.first), int(each.last), addresses, ja4],
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
        stamp = (time, hash((system, turn)))
        known = places.get(place)
        if known is not None and (known[0] < time or known == stamp):
            return
        places[place] = stamp
        if len(places) > self._k:
            del places[max(places)]
        if len(places) == self._k:
            account.limit = max(places)
        row = [TEXT, *name, place, time, (system or "")[:MAX_BYTES], (turn or "")[:MAX_BYTES]]
        self._spill.add(account.partition, row)

    def _fact(self, facts: set[str], value: str) -> None:
        facts.add(value[:_MAX_FACT_TEXT])
        if len(facts) > 2 * MAX_FACTS:
            kept = smallest(self._key, facts)
            facts.clear()
            facts.update(kept)

    def _tools(self, name: tuple[str, int], account: _Account, tools: str) -> None:
        if len(account.tools) >= 2 * MAX_FACTS:
            account.tools.clear()
        account.tools.add(hash(tools))
        if len(tools) <= _MAX_TOOLS_TEXT:
            self._spill.add(account.partition, [TOOLS, *name, place_of(self._key, tools), tools])
