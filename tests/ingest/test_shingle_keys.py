"""Keys find the same shingles as hashing every shingle of every text does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin.indicators.ptf2.normalising import MAX_TOKENS, tokens
from tocsin.indicators.ptf2.shingles import Shingler, shingles
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest import shingle_keys
from tocsin.ingest.shingle_keys import Keyer, Unit, repeated

KEY = b"k" * 32
SHINGLER = Shingler(CURRENT)
WORDS = st.sampled_from(
    ["say", "Say,", "internationalisation", "a" * 40, "it's", "12", "0xff", "jane@example.com", "naïve", "ﬁne", "Ⅸ",
     "e\u0301", "zero\u200bwidth", "nul\0l", "北京市。", "ไทย", "\ud800", "Ω", "_x_", "12,5", "1/2", "!", "🙂"]
)  # fmt: skip
SPACES = st.sampled_from([" ", "\n", "\t", "\r\n", "\x1c", "\x85", "\u00a0", "\u3000", "\u2028", ", "])
TEXTS = st.one_of(
    st.text(alphabet=st.characters(), max_size=60),
    st.lists(st.tuples(WORDS, SPACES), max_size=20).map(lambda parts: "".join(map("".join, parts))),
)


def plainly(units: Sequence[tuple[tuple[str, ...], int]]) -> list[frozenset[int]]:
    """What `repeated` does, by hashing everything."""
    hashed = [frozenset().union(*map(SHINGLER.hashes, texts)) for texts, _ in units]
    counts: Counter[int] = Counter()
    for hashes, (_, times) in zip(hashed, units, strict=True):
        counts.update(dict.fromkeys(hashes, times))
    return [frozenset(shingle for shingle in hashes if counts[shingle] >= 4) for hashes in hashed]


def by_keys(units: Sequence[tuple[tuple[str, ...], int]], keyer: Keyer) -> list[frozenset[int]]:
    keyed = iter(keyer.keyed([text for texts, _ in units for text in texts]))
    return repeated(
        [Unit(tuple(next(keyed) for _ in texts), times) for texts, times in units], SHINGLER.hash_of
    )


def keyed_shingles(text: str) -> list[str]:
    (keyed,) = Keyer(KEY, CURRENT).keyed([text])
    return keyed.shingles(np.arange(len(keyed.keys)))


@given(
    st.lists(
        st.tuples(st.lists(TEXTS, min_size=1, max_size=2).map(tuple), st.integers(1, 5)),
        min_size=1,
        max_size=9,
    )
)
@example([(("one two three four",), 3), (("two three four",), 1)])
@example([(("one two three", "three four five"), 2), (("five one two three",), 2)])
@example([(("a b c", ""), 4)])
@settings(deadline=1_000)
def test_what_repeats_is_found_as_by_hashing_every_shingle(units: list[tuple[tuple[str, ...], int]]) -> None:
    assert by_keys(units, Keyer(KEY, CURRENT)) == plainly(units)


@given(TEXTS)
@example("")
@example("word " * (MAX_TOKENS + 5))
@example("北" * 20_000 + " and more of this")
@example("wörd " * 14_000)
@example("\ud800 " * 17_000 + "one two three four")
@example("a" * 65_000 + " b c d e f")
@settings(deadline=2_000)
def test_a_text_has_the_shingles_of_its_tokens_in_their_order(text: str) -> None:
    assert keyed_shingles(text) == list(shingles(tokens(text, CURRENT)))


@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_keys_depend_on_the_text_alone(texts: list[str]) -> None:
    keyer = Keyer(KEY, CURRENT)
    together = keyer.keyed(texts)
    assert [keyed.keys.tolist() for keyed in together] == [
        keyer.keyed([text])[0].keys.tolist() for text in texts
    ]
    with patch.object(shingle_keys, "_BATCH_BYTES", 20), patch.object(shingle_keys, "_MAX_KNOWN", 2):
        apart = Keyer(KEY, CURRENT).keyed(texts)
    assert [keyed.keys.tolist() for keyed in together] == [keyed.keys.tolist() for keyed in apart]


def test_other_constants_make_other_keys() -> None:
    one, other = (Keyer(key, CURRENT).keyed(["one two three"])[0].keys.tolist() for key in (KEY, b"l" * 32))
    assert len(one) == 1
    assert one != other


@given(st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=30), min_size=3, max_size=40))
def test_two_shingles_that_differ_have_two_keys(words: list[str]) -> None:
    (keyed,) = Keyer(KEY, CURRENT).keyed([" ".join(words)])
    assert len(set(keyed.keys.tolist())) == len(set(shingles(words)))
