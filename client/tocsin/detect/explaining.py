"""Why an account has the skeletons that it has, in words; for the eyes of the provider that holds the logs.

1. The account is sampled as `ingest` does it, but the texts of the sample are kept until all is said.
2. A skeleton's words are the runs of tokens, in one of its own prompts, that its shingles cover; of its prompts the one
   that has the most of its shingles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tocsin.detect.ingest.record import GatewayRecord
from tocsin.detect.sampling import DAY
from tocsin.indicators.ptf1.account import place_of
from tocsin.indicators.ptf1.common_list import CommonList
from tocsin.indicators.ptf1.normalising import tokens
from tocsin.indicators.ptf1.shingles import WORDS, Shingler, shingle_hash, shingles
from tocsin.indicators.ptf1.skeleton import LEVELS, find_blocks
from tocsin.indicators.ptf1.template import SYSTEM, TEMPLATE, judge, strength
from tocsin.indicators.snapshot_files import CURRENT


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a skeleton and what is said of it; `refused` is None where it is shared."""

    percent: int
    shingles: int
    bits: int
    common_percent: float
    refused: str | None


@dataclass(frozen=True, slots=True)
class Explained:
    """One skeleton of the account. The words never show in the repr."""

    window: int
    type: str
    support: int
    sampled: int
    levels: tuple[Level, ...]
    words: tuple[str, ...] = field(repr=False)


class Explainer:
    """Gathers the sample of one account, with its texts (rule 1)."""

    def __init__(self, account: str, key: bytes, k: int, window_days: int) -> None:
        self._account, self._key, self._k, self._seconds = account, key, k, window_days * DAY
        self._texts: dict[int, dict[int, tuple[float, str, str]]] = {}
        self.exchanges = 0

    def take(self, records: Iterable[GatewayRecord]) -> int:
        """Take records, of which those of other accounts are passed over; return how many there were."""
        count = 0
        for record in records:
            count += 1
            if record.account != self._account:
                continue
            self.exchanges += 1
            if not record.has_content:
                continue
            system, turn = record.system or "", record.first_user_turn or ""
            place = place_of(self._key, record.conversation or f"{system}\x1f{turn}")
            texts = self._texts.setdefault(int(record.time) // self._seconds, {})
            found = (record.time, system, turn)
            texts[place] = min(found, texts.get(place, found))
            if len(texts) > self._k:
                del texts[max(texts)]
        return count

    def explain(self, common: CommonList) -> list[Explained]:
        """Return every skeleton that was found, kept or refused, by window."""
        found: list[Explained] = []
        shingler = Shingler(CURRENT)
        for window, texts in sorted(self._texts.items()):
            ordered = [texts[place] for place in sorted(texts)]
            for type, prompts in (
                (TEMPLATE, [each[2] for each in ordered]),
                (SYSTEM, [each[1] for each in ordered]),
            ):
                found.extend(_explained(window * self._seconds, type, prompts, shingler.hashes, common))
        return found


def _explained(
    window: int,
    type: str,
    prompts: Sequence[str],
    hashes: Callable[[str], frozenset[int]],
    common: CommonList,
) -> list[Explained]:
    units = [(each, prompt) for prompt in prompts if (each := hashes(prompt))]
    found = []
    for block in find_blocks([each for each, _ in units]):
        levels = tuple(
            _level(percent, level, common) for percent, level in zip(LEVELS, block.levels, strict=True)
        )
        members = [units[place] for place in block.units]
        _, prompt = max(members, key=lambda each: len(each[0] & block.shingles))
        found.append(
            Explained(
                window, type, len(members), len(units), levels, tuple(word_runs(prompt, block.shingles))
            )
        )
    return found


def _level(percent: int, level: frozenset[int], common: CommonList) -> Level:
    refusal = judge(level, common)
    listed = sum(common.bits(each) is not None for each in level)
    share = 100 * listed / len(level) if level else 0.0
    return Level(
        percent, len(level), strength(level, common), share, None if refusal is None else refusal.value
    )


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
    return [" ".join(each) for each in runs]
