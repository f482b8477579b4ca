"""Taking rounds into the casebook: new, grown, rejected, gone; and what a later release or another key leaves alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, text, update

from tests.detect.casebook.scored import DAY, NOW, SECRET, make, never, opened, scored, taken
from tocsin.detect.casebook import history, measuring, tables
from tocsin.detect.casebook.book import Casebook, open_casebook
from tocsin.detect.casebook.claiming import claim_next
from tocsin.detect.casebook.deciding import Decision, add_note, appeal, decide
from tocsin.detect.casebook.errors import (
    BadSettings,
    BrokenHistory,
    CasebookTooNew,
    CasebookUnavailable,
    ForeignCasebook,
    NoCasebook,
    NoSuchFlag,
    NotOpen,
)
from tocsin.detect.casebook.flags import Flag, flag_of_account, list_flags
from tocsin.detect.casebook.forgetting import forget
from tocsin.detect.rules import DEFAULT


@pytest.fixture
def book(tmp_path: Path) -> Casebook:
    return opened(tmp_path / "casebook")


def flag(book: Casebook, account: str = "a1") -> Flag:
    with book.database.reading() as connection:
        return flag_of_account(connection, account)


def judge(book: Casebook, account: str, outcome: str, reason: str, who: str = "ann", now: int = NOW) -> Flag:
    return decide(book, flag(book, account).no, Decision(outcome, reason, who), now, never)


def test_a_round_taken_twice_or_late_changes_nothing(book: Casebook) -> None:
    assert taken(book, scored("a1"), scored("a2", 14, flagged=False)).new == 2
    before = flag(book)
    assert taken(book, scored("a1", 40)) == taken(book, scored("a3"), run=0)
    assert flag(book) == before


def test_a_new_round_updates_score_and_explanation(book: Casebook) -> None:
    taken(book, scored("a1"))
    assert taken(book, scored("a1", 36), run=2).updated == 1
    assert (flag(book).bits, flag(book).state) == (36, "open")
    with book.database.reading() as connection:
        events = history.events(connection, flag(book).no)
    assert [event.what for event in events] == ["flagged", "score"]


def test_a_rejected_flag_stays_closed_until_its_evidence_has_grown(book: Casebook) -> None:
    taken(book, scored("a1", 32))
    judge(book, "a1", "rejected", "known-customer")
    assert taken(book, scored("a1", 32 + DEFAULT.reopen - 1), run=2).reopened == 0
    assert flag(book).state == "rejected"
    assert taken(book, scored("a1", 32 + DEFAULT.reopen), run=3).reopened == 1
    assert (flag(book).state, flag(book).round) == ("open", 2)


def test_an_undecided_flag_that_is_no_longer_scored_is_gone_and_may_come_back(book: Casebook) -> None:
    taken(book, scored("a1"), scored("a2"))
    assert taken(book, scored("a2"), run=2).gone == 1
    assert flag(book).state == "gone"
    assert claim_next(book, "ann", DEFAULT, NOW, never) == flag(book, "a2")
    taken(book, scored("a1"), scored("a2"), run=3)
    assert flag(book).state == "open"


def test_what_was_confirmed_by_the_match_alone_opens_again_when_the_report_is_retracted(
    book: Casebook,
) -> None:
    taken(book, scored("a1"), scored("a2"))
    judge(book, "a1", "confirmed", "match-only")
    judge(book, "a2", "confirmed", "own-evidence")
    assert taken(book, run=2).reopened == 1
    assert (flag(book).state, flag(book, "a2").state) == ("open", "confirmed")


def test_an_appeal_opens_a_decided_flag_and_old_verdicts_no_longer_count(book: Casebook) -> None:
    taken(book, scored("a1"))
    with pytest.raises(NotOpen, match="is open"):
        appeal(book, "a1", "ann", "", NOW)
    judge(book, "a1", "confirmed", "own-evidence")
    assert appeal(book, "a1", "bea", "the customer called", NOW).state == "open"
    assert judge(book, "a1", "rejected", "known-customer").state == "rejected"
    with book.database.reading() as connection:
        assert [verdict.confirmed for verdict in measuring.judged(connection)] == [False]


def test_flags_are_listed_by_state_reporter_type_and_score(book: Casebook) -> None:
    taken(
        book,
        scored("a1"),
        scored("a2", 14, flagged=False),
        scored("a3", 40, types=("net.ipv4",), reporters=()),
    )
    judge(book, "a1", "rejected", "known-customer")

    def listed(**filters: Any) -> list[str]:
        with book.database.reading() as connection:
            return [row.account for row in list_flags(connection, NOW, **filters)]

    assert listed() == ["a3", "a1", "a2"]
    assert listed(state="waiting") == ["a3", "a2"]
    assert listed(state="rejected") == ["a1"]
    assert listed(type="net.ipv4") == ["a3"]
    assert listed(reporter="Alder") == ["a1", "a2"]
    assert listed(least_bits=32) == ["a3", "a1"]


def test_the_casebook_holds_no_value(book: Casebook, tmp_path: Path) -> None:
    """M-7.7: a value is kept as a keyed hash only."""
    taken(book, scored("a1"))
    book.database.erase_log()
    assert b"a1" in (tmp_path / "casebook" / "casebook.db").read_bytes()
    for path in (tmp_path / "casebook").iterdir():
        assert SECRET.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0 or path.suffix == ".toml"


def test_forgetting_an_account_leaves_only_that_one_was_forgotten(book: Casebook, tmp_path: Path) -> None:
    account, note = "customer-4711", "spoke to them"
    taken(book, scored(account))
    number = flag(book, account).no
    add_note(book, number, "ann", note, NOW)
    decide(book, number, Decision("rejected", "known-customer", "ann", note), NOW, never)
    forget(book, account, "ann", NOW)
    with pytest.raises(NoSuchFlag):
        flag(book, account)
    book.database.close()
    for path in (tmp_path / "casebook").iterdir():
        assert account.encode() not in path.read_bytes()
        assert note.encode() not in path.read_bytes()
    with book.database.reading() as connection:
        assert history.events(connection, number)[-1].what == "an account was forgotten"
    assert history.verify(book.database) == 4


def test_the_history_is_only_added_to(book: Casebook) -> None:
    taken(book, scored("a1"), scored("a2"))
    assert history.verify(book.database) == 2
    for statement in (
        update(tables.history).values(who="somebody else"),
        delete(tables.history).where(tables.history.c.no == 2),
    ):
        with pytest.raises(CasebookUnavailable), book.database.writing() as connection:
            connection.execute(statement)
    with book.database.writing() as connection:
        connection.execute(text("DROP TRIGGER history_no_update"))
        connection.execute(update(tables.history).where(tables.history.c.no == 1).values(who="somebody else"))
    with pytest.raises(BrokenHistory, match="row 1"):
        history.verify(book.database)


def test_a_history_that_was_cut_short_is_found(book: Casebook) -> None:
    taken(book, scored("a1"), scored("a2"))
    with book.database.writing() as connection:
        connection.execute(text("DROP TRIGGER history_no_delete"))
        connection.execute(delete(tables.history).where(tables.history.c.no == 2))
    with pytest.raises(BrokenHistory, match="ends at row 1"):
        history.verify(book.database)


def test_the_casebook_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    folder = make(tmp_path / "casebook")
    open_casebook(folder).database.close()
    with sqlite3.connect(folder / "casebook.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(CasebookTooNew, match="run the later release"):
        open_casebook(folder)


def test_the_migrations_make_what_the_tables_say(book: Casebook) -> None:
    with book.database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_another_key_another_program_and_no_casebook_are_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "casebook")
    open_casebook(folder).database.close()
    (folder / "casebook.key").write_text("00" * 32)
    with pytest.raises(ForeignCasebook, match="another key"):
        open_casebook(folder)
    other = make(tmp_path / "other")
    with sqlite3.connect(other / "casebook.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(ForeignCasebook, match="another program"):
        open_casebook(other)
    noise = make(tmp_path / "noise")
    (noise / "casebook.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ForeignCasebook, match="not a database"):
        open_casebook(noise)
    with pytest.raises(NoCasebook, match="tocsin review init"):
        open_casebook(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("nonsense = 1", "unknown keys nonsense"),
        ("claim_minutes = 0", "from 1 to"),
        ('[[reasons]]\nname = "x"\noutcomes = ["confirmed"]', "no reason is for the outcome"),
        ('[[reasons]]\nname = "x"\noutcomes = ["banned"]', "some of confirmed"),
        (
            '[[reasons]]\nname = "x"\noutcomes = ["confirmed", "rejected", "unsure", "later"]',
            "matched = true",
        ),
        ('database = "mysql://x/y"', "sqlite:///path"),
        ("not toml", "is not TOML"),
    ],
)
def test_settings_that_are_wrong_are_refused_by_name(tmp_path: Path, settings: str, said: str) -> None:
    with pytest.raises((BadSettings, ForeignCasebook), match=said):
        opened(tmp_path / "casebook", settings)


def test_a_flag_put_off_returns_on_its_day(book: Casebook) -> None:
    taken(book, scored("a1"))
    number = flag(book).no
    put_off = decide(book, number, Decision("later", "asked-customer", "ann", returns=NOW + DAY), NOW, never)
    assert put_off.state == "later"
    assert claim_next(book, "bea", DEFAULT, NOW + DAY - 1, never) is None
    returned = claim_next(book, "ann", DEFAULT, NOW + DAY, never)
    assert returned is not None
    assert returned.no == number
