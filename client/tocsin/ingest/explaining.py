"""Why an account has the skeletons that it has, in words; for the eyes of the provider that holds the logs.

1. The account is sampled and judged as `ingest` does it, but the texts of the sample are kept until all is said. With a
   state its key, k and window count.
2. A skeleton's words are the runs of tokens, in one of its own prompts, that its shingles cover; of its prompts the one
   that has the most of its shingles. Texts are held cut, so that what does not count is neither held nor shown.
3. Where a window has no skeleton of a type, it is said why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.indicators.ptf2.account import place_of
from tocsin.indicators.ptf2.common_list import CommonList
from tocsin.indicators.ptf2.normalising import MAX_BYTES, tokens
from tocsin.indicators.ptf2.shingles import WORDS, Shingler, shingle_hash, shingles
from tocsin.indicators.ptf2.skeleton import LEVELS, MIN_SHINGLES, MIN_SUPPORT, Block, find_blocks
from tocsin.indicators.ptf2.template import SYSTEM, TEMPLATE, Judged, judge, strength
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.comparing import WHY, by_block, shared_levels
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.sampling import DAY, DEFAULT_K, DEFAULT_WINDOW_DAYS, NO_TURN, places_of
from tocsin.ingest.state import BadState, settings_of
from tocsin.ingest.unit_hashes import Texts, UnitHasher

_Text = tuple[tuple[int, float], str, str, str]
"""What decides between exchanges of one conversation; its system prompt, first user turn and later one."""
_WHAT = {TEMPLATE: "user turn", SYSTEM: "system prompt"}


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a skeleton and what is said of it; `refused` is None where it is shared."""

    percent: int
    shingles: int
    bits: int
    common_percent: float
    refused: str | None
    why: str | None
    """What the refusal means."""
    banded: bool
    same_as: int | None
    """The lower percentage at which the level is the same, where one is: both are one value."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One skeleton of the account. The words never show in the repr."""

    window: int
    type: str
    support: int
    sampled: int
    levels: tuple[Level, ...]
    words: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Nothing:
    """A window without a skeleton of a type, how many conversations were sampled in it, and why (rule 3)."""

    window: int
    type: str
    sampled: int
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every skeleton that was found, kept or refused, by window; and where there is none."""

    skeletons: list[Explained] = field(default_factory=list)
    missing: list[Nothing] = field(default_factory=list)


class Explainer:
    """Gathers the sample of one account, with its texts (rule 1)."""

    def __init__(self, account: str, key: bytes, k: int, window_days: int) -> None:
        self._account, self._key, self._k, self._seconds = account, key, k, window_days * DAY
        self._texts: dict[int, dict[int, _Text]] = {}
        self._parents: dict[int, set[int]] = {}
        self.exchanges = self.without_content = 0

    def take(self, exchanges: Iterable[Exchange]) -> int:
        """Take exchanges, of which those of other accounts are skipped; return how many there were."""
        count = 0
        for exchange in exchanges:
            count += 1
            if exchange.account != self._account:
                continue
            self.exchanges += 1
            texts = self._texts.setdefault(int(exchange.time) // self._seconds, {})
            if not exchange.has_content:
                self.without_content += 1
                continue
            system, turn, later = (
                text or "" for text in (exchange.system, exchange.first_user_turn, exchange.last_user_turn)
            )
            place, parent = places_of(
                self._key, exchange, place_of(self._key, system[:MAX_BYTES]) if system else 0
            )
            if parent:
                self._parents.setdefault(int(exchange.time) // self._seconds, set()).add(parent)
            cut = system[:MAX_BYTES], turn[:MAX_BYTES], later[:MAX_BYTES]
            text: _Text = ((-len(later), exchange.time + (0.0 if turn else NO_TURN)), *cut)
            texts[place] = min(text, texts.get(place, text))
            if len(texts) > self._k:
                del texts[max(texts)]
        return count

    def explain(self, common: CommonList) -> Explanation:
        """Say what becomes of the account's conversations."""
        made, shingler, hasher = Explanation(), Shingler(CURRENT), UnitHasher(self._key)
        for window, texts in sorted(self._texts.items()):
            start = window * self._seconds
            parents = self._parents.get(window, ())
            candidates = {place: texts[place] for place in sorted(texts) if place not in parents}
            kept = hasher.chosen({place: Texts(*text[1:]) for place, text in candidates.items()})
            ordered = [candidates[place] for place in candidates if place in kept]
            for type, prompts in (
                (TEMPLATE, [(turn, later) for _, _, turn, later in ordered]),
                (SYSTEM, [(system, "") for _, system, _, _ in ordered]),
            ):
                units = [
                    (unit, f"{first}\n{later}")
                    for first, later in prompts
                    if (unit := shingler.hashes(first) | shingler.hashes(later))
                ]
                blocks = find_blocks([unit for unit, _ in units])
                for block, said in zip(blocks, by_block(blocks, common), strict=True):
                    for part in (block, *block.parts):
                        levels = tuple(_levels(type, part, said, common))
                        words = _words(part, units)
                        made.skeletons.append(
                            Explained(start, type, len(part.units), len(units), levels, words)
                        )
                if not blocks:
                    texts_of_type = [f"{first}{later}" for first, later in prompts]
                    why = _why_none(type, texts_of_type, len(units))
                    made.missing.append(Nothing(start, type, len(prompts), why))
        return made


def sampling_of(state: Path | None, k: int | None, window_days: int | None) -> tuple[int, int]:
    """Return k and the window: those of a state's runs, else those asked for. Raises `BadState`."""
    asked = {name: value for name, value in (("k", k), ("window_days", window_days)) if value is not None}
    found = None if state is None else settings_of(state)
    if found is None:
        return asked.get("k", DEFAULT_K), asked.get("window_days", DEFAULT_WINDOW_DAYS)
    for name, value in asked.items():
        if value != found[name]:
            option = name.replace("_", "-")
            raise BadState(f"{state}: was made with --{option} {found[name]}; use the same, or leave it out")
    return found["k"], found["window_days"]


def _why_none(type: str, prompts: Sequence[str], usable: int) -> str:
    if not prompts:
        return "no content: the logs say who and when, but not what"
    if not any(prompts):
        return f"no conversation has a {_WHAT[type]}"
    if usable < MIN_SUPPORT:
        return (
            f"too few conversations: {usable} with a {_WHAT[type]} of {WORDS} words or more, "
            f"{MIN_SUPPORT} are needed"
        )
    return f"nothing in common: no {WORDS} words in a row are in {MIN_SUPPORT} of {usable} conversations"


def _levels(type: str, block: Block, said: Sequence[Judged], common: CommonList) -> Iterable[Level]:
    shared = shared_levels(said, type)
    first: dict[frozenset[int], int] = {}
    for percent, level in zip(LEVELS, block.levels, strict=True):
        refusal, why = None, None
        if level not in shared:
            own = judge(level, common)
            refusal = own or said[0].refusal
            # What is refused though it might be shared goes with the block.
            why = WHY[own] if own else f"the level of 60 % has fewer than {MIN_SHINGLES} shingles"
        listed = len(common.listed(level))
        same_as = first.setdefault(level, percent)
        yield Level(
            percent,
            len(level),
            strength(level, common),
            100 * listed / len(level) if level else 0.0,
            refusal,
            why,
            shared.get(level, False),
            same_as if same_as != percent else None,
        )


def _words(block: Block, units: Sequence[tuple[frozenset[int], str]]) -> tuple[str, ...]:
    members = [units[place] for place in block.units]
    _, prompt = max(members, key=lambda unit: len(unit[0] & block.shingles))
    return tuple(word_runs(prompt, block.shingles))


def word_runs(prompt: str, wanted: frozenset[int]) -> list[str]:
    """Return the runs of a prompt's tokens that the wanted shingles cover (rule 2)."""
    words = tokens(prompt, CURRENT)
    covered = [False] * len(words)
    for place, shingle in enumerate(shingles(words)):
        if shingle_hash(shingle) in wanted:
            covered[place : place + WORDS] = [True] * WORDS
    runs: list[list[str]] = []
    for place, word in enumerate(words):
        if covered[place]:
            if place == 0 or not covered[place - 1]:
                runs.append([])
            runs[-1].append(word)
    return [" ".join(run) for run in runs]
