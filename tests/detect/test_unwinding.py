"""What rested on a retracted report falls with it, to the end of the chain, and circles hold nobody up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tocsin.detect.unwinding import Claim, EntryId, named, roots

A, B, C, D = (bytes([number]) * 16 for number in range(4))


def standing(*claims: Claim, retracted: tuple[EntryId, ...] = ()) -> dict[EntryId, set[bytes]]:
    return {entry: set(ends) for entry, ends in roots(claims, dict.fromkeys(retracted)).items()}


def test_a_chain_stands_on_the_detection_at_its_end_and_falls_with_it() -> None:
    shared, again = Claim((B, 5), ((A, 1),)), Claim((C, 9), ((B, 5),))
    assert standing(Claim((A, 1)), shared, again) == {(A, 1): {A}, (B, 5): {A}, (C, 9): {A}}
    # Nobody here can open A's entry: it stands until it is retracted.
    assert named((shared, again)) == {(A, 1)}
    assert standing(shared, again) == {(B, 5): {A}, (C, 9): {A}}
    assert standing(shared, again, retracted=((A, 1),)) == {}


def test_what_rests_on_something_else_too_stands() -> None:
    both = Claim((B, 5), ((A, 1), (D, 2)))
    assert standing(both, Claim((C, 9), ((B, 5),)), retracted=((A, 1),)) == {(B, 5): {D}, (C, 9): {D}}
    assert standing(both) == {(B, 5): {A, D}}


def test_a_circle_holds_nobody_up() -> None:
    circle = (Claim((A, 1), ((B, 2),)), Claim((B, 2), ((C, 3),)), Claim((C, 3), ((A, 1),)))
    assert standing(*circle) == {}
    assert standing(Claim((A, 1), ((A, 1),))) == {}
    # One of them that rests on a detection as well keeps all.
    grounded = (Claim((A, 1), ((B, 2), (D, 7))), *circle[1:])
    assert standing(*grounded) == {(A, 1): {D}, (B, 2): {D}, (C, 3): {D}}
    assert standing(*grounded, retracted=((D, 7),)) == {}


def test_what_a_writer_says_in_an_entrys_place_counts_for_it() -> None:
    shared = Claim((B, 5), ((A, 1),))
    again = Claim((A, 8), ((B, 5),))
    assert roots((shared, again), {(A, 1): (A, 8)}) == {}
    assert roots((shared, Claim((A, 8))), {(A, 1): (A, 8)}) == {(B, 5): {A}, (A, 8): {A}}


entries = st.tuples(st.sampled_from((A, B, C, D)), st.integers(0, 3))


@given(
    st.dictionaries(entries, st.lists(entries, max_size=3).map(tuple), max_size=10),
    st.sets(entries, max_size=6),
)
def test_an_entry_stands_if_and_only_if_a_path_leads_from_it_to_a_ground(
    links: dict[EntryId, tuple[EntryId, ...]], gone: set[EntryId]
) -> None:
    claims = [Claim(entry, below) for entry, below in links.items()]

    def grounds(entry: EntryId, seen: frozenset[EntryId]) -> set[bytes]:
        if entry not in links:
            return set() if entry in gone else {entry[0]}
        if not links[entry]:
            return {entry[0]}
        return {
            ground for below in links[entry] if below not in seen for ground in grounds(below, seen | {below})
        }

    found = roots(claims, dict.fromkeys(gone - links.keys()))
    assert {entry: set(ends) for entry, ends in found.items()} == {
        entry: ends for entry in links if (ends := grounds(entry, frozenset({entry})))
    }
