"""From exchanges to the texts that may be in an account's sample (phase 1 of `tocsin ingest`).

1. Windows are aligned: of W days each, counted since 1970. An account is sampled in each window by itself.
2. A conversation's place is `place_of` its id under the sampling key. Where the format has no id, its system prompt and
   its first user turn stand for one (P-1.2); of a request with exactly two user turns both do, and the place of the
   first alone is spilled beside it as its parent, so that a chat that grew by a turn is not counted twice.
3. Of the places of an account the k smallest seen so far are held, not their texts. A text whose place is among these
   goes to the spill at once. So the spill holds at least the texts of the k smallest of all, in whatever order
   exchanges come, and of one conversation the exchange with the longest later turn, of equal ones the earliest. A text
   without a user turn never displaces one with a turn, however early it was sent.
4. A system prompt is spilled once for an account, and named by its place.
5. Facts of an account are held (see `facts`). Tool schemas are spilled when first seen, as they can be large.
6. When more accounts or more places are held than allowed, the facts of all go to the spill and the accounts are
   forgotten, but for the largest place that still counts: memory does not grow with the number of accounts, only the
   spill does.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from tocsin.indicators.ptf2.account import place_of
from tocsin.indicators.ptf2.normalising import MAX_BYTES
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.facts import ADDRESS, DEVICE, JA4, MAX_FACTS, Facts
from tocsin.ingest.facts import TOOLS as TOOL_SET
from tocsin.ingest.spilling import PARTITIONS, Spill

DEFAULT_K = 256
DEFAULT_WINDOW_DAYS = 28
MAX_ACCOUNTS = 40_000
"""How many accounts (in windows) a worker holds."""
MAX_PLACES = 400_000
"""How many places of conversations a worker holds, of all accounts together."""

TEXT, FACTS, TOOLS, SYSTEM = 0, 1, 2, 3
"""First item of a spilled row; then account and window, then what the rows below say."""

DAY = 86_400
_NO_PLACE = 1 << 64
NO_TURN = 1e12
"""Added to the time of a text without a user turn, later than any with one."""
_MAX_TOOLS_TEXT = 1 << 18
_HOUR = 3_600
_MAX_LIMITS = 1 << 20
_MAX_SYSTEMS = 512
_TWO = 2


def partition_of(key: bytes, account: str) -> int:
    """Return the partition of an account: nobody outside can choose it."""
    return place_of(key, account) % PARTITIONS


def places_of(key: bytes, exchange: Exchange, system: int) -> tuple[int, int]:
    """Return the place of an exchange's conversation and that of its parent, 0 where it has none (rule 2).

    `system` is the place of its system prompt, 0 where it has none.
    """
    if exchange.conversation:
        return place_of(key, exchange.conversation), 0
    first = f"{system:x}\x1f{exchange.first_user_turn or ''}"
    if exchange.user_turns == _TWO and exchange.last_user_turn:
        return place_of(key, f"{first}\x1f{exchange.last_user_turn}"), place_of(key, first)
    return place_of(key, first), 0


class _Account:
    """What is held of one account in one window."""

    __slots__ = (
        "exchanges", "facts", "first", "largest", "last", "limit", "partition", "places", "systems", "tools",
    )  # fmt: skip

    def __init__(self, partition: int, time: float) -> None:
        self.partition = partition
        self.exchanges = 0
        self.first = self.last = time
        self.places: dict[int, tuple[int, float, int]] = {}
        self.largest: list[int] = []  # a heap of the places, negative
        self.systems: set[int] = set()
        self.limit = _NO_PLACE
        self.facts = Facts()
        self.tools: dict[int, str] = {}
        """The place of each set of tools as text, by the hash of its text."""


class Sampler:
    """Takes exchanges in any order and spills what phase 2 needs (rules 1 to 6)."""

    def __init__(
        self, key: bytes, spill: Spill, k: int, window_days: int, max_accounts: int = MAX_ACCOUNTS
    ) -> None:
        self._key, self._spill, self._k = key, spill, k
        self._window_seconds = window_days * DAY
        self._max_accounts = max_accounts
        self._held: dict[tuple[str, int], _Account] = {}
        self._places = 0
        self._limits: dict[tuple[str, int], int] = {}
        self._systems: dict[str, int] = {}

    def take(self, exchanges: Iterable[Exchange]) -> int:
        """Take exchanges; return how many there were."""
        # Everything an exchange passes through is local: this loop decides how fast a provider's logs are read.
        held, key, seconds = self._held, self._key, self._window_seconds
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
            place, parent = None, 0
            # P-1.2: one place for each conversation, by its id or else by its texts.
            turn, later = turn or "", exchange.last_user_turn or ""
            prompt = self._system(system[:MAX_BYTES]) if system else 0
            if exchange.conversation or turn or system:
                place, parent = places_of(key, exchange, prompt)
            self._facts(name, account, exchange, place)
            if place is None or not (turn or system) or place > account.limit:
                continue
            if not turn:
                time += NO_TURN
            if self._is_kept(account, place, time, turn, later):
                if prompt and prompt not in account.systems:
                    account.systems.add(prompt)
                    self._spill.add(account.partition, [SYSTEM, *name, prompt, (system or "")[:MAX_BYTES]])
                row = [TEXT, *name, place, parent, time, prompt, turn[:MAX_BYTES], later[:MAX_BYTES]]
                self._spill.add(account.partition, row)
                if self._places > MAX_PLACES:
                    self.flush()
        return count

    def flush(self) -> None:
        """Spill the facts of all accounts and forget them (rule 6)."""
        for (name, window), item in self._held.items():
            item.facts.trim(self._key)
            facts = [item.facts.rows(), f"{item.facts.hours:x}"]
            self._spill.add(
                item.partition, [FACTS, name, window, item.exchanges, int(item.first), int(item.last), *facts]
            )
            if item.limit != _NO_PLACE:
                self._limits[name, window] = item.limit
        self._held.clear()
        self._places = 0
        if len(self._limits) > _MAX_LIMITS:
            self._limits.clear()

    def _hold(self, name: tuple[str, int], time: float) -> _Account:
        if len(self._held) >= self._max_accounts:
            self.flush()
        account = self._held[name] = _Account(partition_of(self._key, name[0]), time)
        account.limit = self._limits.get(name, _NO_PLACE)
        return account

    def _system(self, text: str) -> int:
        """Return the place of a system prompt; most come again and again."""
        place = self._systems.get(text)
        if place is None:
            if len(self._systems) >= _MAX_SYSTEMS:
                self._systems.clear()
            place = self._systems[text] = place_of(self._key, text)
        return place

    def _is_kept(self, account: _Account, place: int, time: float, turn: str, later: str) -> bool:
        """Say whether a text goes to the spill, and hold its place (rule 3)."""
        places = account.places
        stamp = (-len(later), time, hash((turn, later)))
        known = places.get(place)
        if known is not None:
            if known[:2] < stamp[:2] or known == stamp:
                return False
            places[place] = stamp
            return True
        places[place] = stamp
        heappush(account.largest, -place)
        self._places += 1
        if len(places) > self._k:
            del places[-heappop(account.largest)]
            self._places -= 1
        if len(places) == self._k:
            account.limit = min(account.limit, -account.largest[0])
        return True

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
