"""The rule of whoever cosigns another's log, without a store or a network (SPEC M-6.15, M-6.16, M-6.20)."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.federation import NAME, keys_of, member_id
from tocsin.node.service.following import rule
from tocsin.node.service.following.rule import (
    Allowance,
    Cosign,
    FromTheFuture,
    Held,
    LogFault,
    Path,
    TooFast,
    TreeRolledBack,
    Unproven,
)
from tocsin.proofs.fork import verify_fork
from tocsin.tlog.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    log_origin,
    log_verifier,
    open_checkpoint,
    sign_checkpoint,
)
from tocsin.tlog.merkle import Frontier, Hash, consistency_proof, plan_consistency
from tocsin.tlog.note import Signer

ORIGIN, SHOWER, NOW = member_id(1), member_id(2), 1_785_000_000


class Tree:
    """A log's tree; `lie` replaces the leaves from an index on."""

    def __init__(self, lie: int | None = None) -> None:
        self._lie = lie

    def leaf(self, index: int) -> Hash:
        story = b"other" if self._lie is not None and index >= self._lie else b"story"
        return Hash(sha256(story + index.to_bytes(8, "big")).digest())

    def head(self, size: int) -> SignedCheckpoint:
        frontier, _ = Frontier().append([self.leaf(index) for index in range(size)])
        name, key = log_origin(NAME, ORIGIN), keys_of(1).log
        signer = Signer(log_verifier(name, key.public_key), key.sign)
        note = sign_checkpoint(Checkpoint(name, size, frontier.root()), signer)
        return open_checkpoint(note, name, key.public_key)

    def path(self, old: int, new: int) -> tuple[Hash, ...]:
        _, nodes = Frontier().append([self.leaf(index) for index in range(new)])
        known = {(level, index): node for level, index, node in nodes}
        known |= {(0, index): self.leaf(index) for index in range(new)}
        return tuple(
            consistency_proof(old, new, {place: known[place] for place in plan_consistency(old, new)})
        )

    def shown_path(self, old: int, new: int) -> Path:
        """What a shower gives, the proof from the first leaf included."""
        return Path(self.path(old, new), None, self.leaf(0), self.path(1, new) if new > 1 else ())


def held(head: SignedCheckpoint, time: int = NOW) -> Held:
    return Held(head.checkpoint.size, head.checkpoint.root, time, head)


def path_of(mine: Tree, theirs: Tree, old: int, new: int) -> Path | None:
    if new == old:
        return None
    if new < old:
        return Path(mine.path(new, old), mine.head(new).checkpoint.root)
    return theirs.shown_path(old, new)


SIZES = st.integers(1, 40)


@given(SIZES, SIZES)
def test_an_honest_log_is_cosigned_or_rolled_back_and_never_convicted(old: int, new: int) -> None:
    tree = Tree()
    path = path_of(tree, tree, old, new)
    if new < old:
        with pytest.raises(TreeRolledBack) as caught:
            rule.decide(ORIGIN, held(tree.head(old)), tree.head(new), path, NOW, NOW)
        assert caught.value.culprit() == ORIGIN
    else:
        assert rule.decide(ORIGIN, held(tree.head(old)), tree.head(new), path, NOW, NOW) == Cosign(new - old)


@given(SIZES, SIZES, st.integers(0, 39))
def test_two_histories_are_a_fork_wherever_they_part(old: int, new: int, lie: int) -> None:
    mine, theirs = Tree(), Tree(lie)
    shown, path = theirs.head(new), path_of(mine, theirs, old, new)
    if lie >= min(old, new):
        return  # the smaller tree is a prefix of both
    fork = rule.contradiction(SHOWER, mine.head(old), shown, path)
    assert fork is not None
    verify_fork(fork, log_origin(NAME, ORIGIN), keys_of(1).log.public_key)
    assert rule.decide(ORIGIN, held(mine.head(old)), shown, path, NOW, NOW) == fork


@given(SIZES, st.integers(1, 20), st.data())
def test_a_broken_proof_convicts_nobody_but_who_shows_it(old: int, more: int, data: st.DataObject) -> None:
    tree, new = Tree(), old + more
    whole = tree.path(old, new)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))] if whole else (Hash(bytes(32)),)
    with pytest.raises(Unproven) as caught:
        rule.contradiction(SHOWER, tree.head(old), tree.head(new), Path(cut))
    assert caught.value.culprit() == SHOWER


def test_the_first_checkpoint_needs_no_proof() -> None:
    nothing = Held(0, Frontier().root(), 0, None)
    assert rule.decide(ORIGIN, nothing, Tree().head(7), None, NOW, NOW) == Cosign(7)


def test_times_may_neither_run_ahead_nor_back() -> None:
    tree = Tree()
    path = tree.shown_path(3, 5)
    assert rule.decide(ORIGIN, held(tree.head(3)), tree.head(5), path, NOW + 600, NOW) == Cosign(2)
    with pytest.raises(FromTheFuture, match="601 s ahead"):
        rule.decide(ORIGIN, held(tree.head(3)), tree.head(5), path, NOW + 601, NOW)
    with pytest.raises(TreeRolledBack, match="1 s before"):
        rule.decide(ORIGIN, held(tree.head(3)), tree.head(5), path, NOW - 1, NOW)


def test_under_a_new_log_key_the_tree_held_decides() -> None:
    tree, other = Tree(), Tree(0)
    before = Held(3, tree.head(3).checkpoint.root, NOW, None)
    assert rule.decide(ORIGIN, before, tree.head(3), None, NOW, NOW) == Cosign(0)
    with pytest.raises(LogFault, match="another history"):
        rule.decide(ORIGIN, before, other.head(3), None, NOW, NOW)
    with pytest.raises(TreeRolledBack):
        rule.decide(ORIGIN, before, tree.head(2), None, NOW, NOW)


def test_a_day_brings_a_days_entries_and_silence_saves_up_no_more() -> None:
    spent = Allowance(Allowance(0, 48).spend(ORIGIN, 48, NOW, NOW), 48)
    with pytest.raises(TooFast, match="flood"):
        spent.spend(ORIGIN, 1, NOW, NOW + 1_799)
    assert Allowance(spent.spend(ORIGIN, 1, NOW, NOW + 1_800), 48).left(NOW, NOW + 1_800) == 0
    later = NOW + 40 * rule.DAY_S
    assert spent.left(later, later) == 48


@given(st.lists(st.tuples(st.integers(0, 7_200), st.integers(0, 40)), max_size=40), st.integers(1, 50))
def test_what_an_origin_paces_no_follower_finds_too_fast(ticks: list[tuple[int, int]], per_day: int) -> None:
    """However the follower's steps fall, also one for many ticks, also behind by all of them."""
    time, paced, size = NOW, 0, 0
    log: list[tuple[int, int]] = []
    for pause, wished in ticks:
        time += pause
        allowance = Allowance(paced, per_day)
        size += (grown := min(wished, allowance.left(time, time)))
        paced = allowance.after(grown, time)
        log.append((time, size))
    for every in (1, 2, 7):
        held, since, followed = 0, 0, 0
        for then, total in [*log[::every], *log[-1:]]:
            followed = Allowance(followed, per_day).spend(ORIGIN, total - held, since, then)
            held, since = total, then
