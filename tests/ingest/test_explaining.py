"""What `explain` tells of an account is what `ingest` makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from tests.ingest import made_logs
from tocsin.indicators.ptf2.bands import SHORT
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.normalising import MAX_BYTES
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.skeleton import find_blocks
from tocsin.indicators.ptf2.template import TEMPLATE, band_values, judge, judged, write_skeleton
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.explaining import Explained, Explainer

COMMON = shipped(CURRENT.common_prompts)
KEY = bytes(32)
WORDS = "amber birch cedar delta ember flint grove heath ivory jade kelp larch maple nettle olive pearl"


def template(name: str) -> str:
    return " ".join(f"{word}{name}{again}" for again in "qxz" for word in WORDS.split())


def exchange(number: int, turn: str | None, *, system: str | None = None) -> Exchange:
    return Exchange("acct", f"c{number}", made_logs.TIME, system=system, first_user_turn=turn)


def explained(exchanges: Iterable[Exchange], k: int = 64) -> list[Explained]:
    explainer = Explainer("acct", KEY, k, 28)
    explainer.take(exchanges)
    return explainer.explain(COMMON).skeletons


def test_the_third_block_has_no_bands() -> None:
    turns = [
        f"{template(name)} {'tvwp'[n % 4]}"
        for name, size in (("a", 8), ("b", 7), ("c", 6))
        for n in range(size)
    ]
    found = explained(exchange(n, turn) for n, turn in enumerate(turns))
    assert [skeleton.support for skeleton in found] == [8, 7, 6]
    assert [any(level.banded for level in skeleton.levels) for skeleton in found] == [True, True, False]
    assert all(level.refused is None for skeleton in found for level in skeleton.levels)


def quarters() -> list[str]:
    """Ten turns that share three words, and of whose other phrases each is in four; no two in the same three."""
    chosen: list[set[int]] = []
    for four in map(set, combinations(range(10), 4)):
        if all(len(four & other) <= 2 for other in chosen):
            chosen.append(four)
    assert len(chosen) >= 8
    del chosen[12:]
    turns = []
    for n in range(10):
        phrases = [
            " ".join(f"{chr(97 + at)}{x}" for x in "qxz") for at, four in enumerate(chosen) if n in four
        ]
        turns.append(f" {'v' * (n + 1)} ".join(["say the same", *phrases]))
    return turns


def test_a_block_that_is_short_keeps_no_level() -> None:
    (found,) = explained(exchange(n, turn) for n, turn in enumerate(quarters()))
    units = [Shingler(CURRENT).hashes(turn) for turn in quarters()]
    assert [skeleton.refusal for skeleton in judged(find_blocks(units), COMMON)] == ["template.short"]
    assert found.levels[0].shingles >= 8
    assert judge(find_blocks(units)[0].levels[0], COMMON) is None
    assert {level.refused for level in found.levels} == {"template.short"}
    assert found.levels[0].why == "the level of 60 % has fewer than 8 shingles"
    assert found.levels[-1].why == "fewer than 8 shingles"


def test_levels_that_are_one_value_and_bands_are_told_as_they_are_written() -> None:
    turns = [f"{template('a')} {template(chr(100 + n)) if n else ''}" for n in range(8)]
    exchanges = [exchange(n, turn, system=turn) for n, turn in enumerate(turns)]
    found = explained(exchanges)
    assert [skeleton.type for skeleton in found] == ["prompt.template", "client.system"]
    units = [Shingler(CURRENT).hashes(turn) for turn in turns]
    shared = list(judged(find_blocks(units), COMMON))
    distinct = [level for level in found[0].levels if level.same_as is None]
    assert [level.shingles for level in distinct] == [len(skeleton.shingles) for skeleton in shared]
    assert [level.banded for level in distinct] == [
        bool(band_values(TEMPLATE, write_skeleton(skeleton.shingles, COMMON, banded=skeleton.banded))[1])
        for skeleton in shared
    ]
    assert distinct[0].shingles >= SHORT.least
    assert found[1].levels[0].banded


def test_what_lies_behind_the_cut_is_neither_shown_nor_counted() -> None:
    filler = "".join(f"{word} " for word in ("a", "b")) * (MAX_BYTES // 4)
    turns = [f"{template('a')} {filler} {template('b')} {n}" for n in range(6)]
    (found,) = explained(exchange(n, turn) for n, turn in enumerate(turns))
    assert "ambera" in " ".join(found.words)
    assert "amberb" not in " ".join(found.words)


def test_texts_that_are_equal_up_to_the_cut_are_one() -> None:
    # Of two texts of one time the smaller counts: for `ingest` the system prompts are equal, so the turn decides.
    system = "s" * MAX_BYTES
    for first, second in (("x", "y"), ("y", "x")):
        made = []
        for n in range(6):
            made += [
                exchange(n, template("b"), system=system + first),
                exchange(n, template("a"), system=system + second),
            ]
        (found,) = explained(made)
        assert "ambera" in " ".join(found.words)


def test_texts_are_held_cut() -> None:
    explainer = Explainer("acct", KEY, 64, 28)
    explainer.take([exchange(1, "a" * (MAX_BYTES + 9), system="b" * (MAX_BYTES + 9))])
    held = [text for texts in explainer._texts.values() for _, *both in texts.values() for text in both]
    assert [len(text) for text in held] == [MAX_BYTES, MAX_BYTES, 0]
