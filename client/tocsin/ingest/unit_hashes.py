"""From the texts of an account's conversations to what skeletons are searched in: sets of shingle hashes.

1. Which candidates are fingerprinted, `choosing` says.
2. Where a sample is kept for later runs, every shingle is hashed. Else only those that 4 conversations have, since no
   others are looked at (P-4.1): most shingles come once, and hashing them would be most of the work.
3. A system prompt that 4 conversations have is hashed once for all accounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.skeleton import MIN_SUPPORT
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.choosing import ALWAYS, chosen
from tocsin.ingest.shingle_keys import Keyed, Keyer, Unit, repeated

_MAX_SYSTEMS = 512
_NONE: frozenset[int] = frozenset()

_KeyedUnits = Mapping[tuple[str, ...], tuple[Keyed, ...]]


class Texts(NamedTuple):
    """What is fingerprinted of a conversation: its system prompt, its first user turn and a later one, or nothing."""

    system: str
    turn: str
    later: str

    @property
    def turns(self) -> tuple[str, ...]:
        """The user turns that there are."""
        return tuple(text for text in (self.turn, self.later) if text)


class Hashes(NamedTuple):
    """The units of a conversation as sets of shingle hashes."""

    system: frozenset[int]
    turn: frozenset[int]


class UnitHasher:
    """Hashes the units of one account after the other, and remembers what comes again."""

    def __init__(self, key: bytes) -> None:
        self._shingler = Shingler(CURRENT)
        self._keyer = Keyer(key, CURRENT)
        self._systems: dict[str, frozenset[int]] = {}

    def all_hashes(self, candidates: Mapping[int, Texts], wanted: Collection[int]) -> dict[int, Hashes]:
        """Return every hash of the conversations that are chosen and wanted, by their places, the smallest first."""
        places = self.chosen(candidates)
        return {
            place: Hashes(self._system(texts.system), _NONE.union(*map(self._shingler.hashes, texts.turns)))
            for place, texts in candidates.items()
            if place in places and place in wanted
        }

    def repeated_hashes(self, candidates: Mapping[int, Texts]) -> dict[int, Hashes]:
        """Return the hashes that 4 of the chosen conversations have, by their places, the smallest first (rule 2)."""
        keyed = self._keyed({texts.turns for texts in candidates.values()})
        places = self._chosen(candidates, keyed)
        kept = {place: texts for place, texts in candidates.items() if place in places}
        turns = self._repeated([texts.turns for texts in kept.values()], keyed)
        systems = self._repeated_systems([texts.system for texts in kept.values() if texts.system])
        return {
            place: Hashes(systems.get(texts.system, _NONE), turns.get(texts.turns, _NONE))
            for place, texts in kept.items()
        }

    def chosen(self, candidates: Mapping[int, Texts]) -> frozenset[int]:
        """Return the places of the conversations that are fingerprinted; the smallest place comes first (rule 1)."""
        if len(candidates) <= ALWAYS:
            return frozenset(candidates)
        return self._chosen(candidates, self._keyed({texts.turns for texts in candidates.values()}))

    def _chosen(self, candidates: Mapping[int, Texts], keyed: _KeyedUnits) -> frozenset[int]:
        return chosen({place: texts.turns for place, texts in candidates.items()}, keyed)

    def _repeated(
        self, units: Sequence[tuple[str, ...]], keyed: _KeyedUnits
    ) -> dict[tuple[str, ...], frozenset[int]]:
        counts = Counter(unit for unit in units if unit)
        if counts.total() < MIN_SUPPORT:
            return {}
        counted = [Unit(keyed[unit], count) for unit, count in counts.items()]
        return dict(zip(counts, repeated(counted, self._shingler.hash_of), strict=True))

    def _repeated_systems(self, units: Sequence[str]) -> dict[str, frozenset[int]]:
        counts = Counter(units)
        if counts.total() < MIN_SUPPORT:
            return {}
        if all(count >= MIN_SUPPORT for count in counts.values()):
            return {text: self._system(text) for text in counts}
        alone = [(text,) for text in units]
        return {text: hashes for (text,), hashes in self._repeated(alone, self._keyed(set(alone))).items()}

    def _keyed(self, units: Collection[tuple[str, ...]]) -> _KeyedUnits:
        keyed = iter(self._keyer.keyed([text for unit in units for text in unit]))
        return {unit: tuple(next(keyed) for _ in unit) for unit in units}

    def _system(self, text: str) -> frozenset[int]:
        hashes = self._systems.get(text)
        if hashes is None:
            if len(self._systems) >= _MAX_SYSTEMS:
                self._systems.clear()
            hashes = self._systems[text] = self._shingler.hashes(text)
        return hashes
