"""Sharing on: what may be, what it rests on, and what is taken back when something below falls away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.session import RESALE, Session, terminal
from tests.detect.casebook.scored import NOW, make, never, scored, taken
from tests.detect.populations import write_table
from tocsin.client.results import Match
from tocsin.client.system import now
from tocsin.detect.casebook.book import Casebook, open_casebook
from tocsin.detect.casebook.deciding import Decision, appeal, decide
from tocsin.detect.casebook.flags import flag_of_account
from tocsin.detect.reports.transparency import transparency
from tocsin.sealing.label import Report, Tlp

__all__ = ["terminal"]

MAIL, OTHER, CARD = ("contact.email", "mallory@example.com"), ("contact.email", "second@example.com"), (
    "payment.iban", "DE02120300000000202051",
)  # fmt: skip
SETTINGS = "golden_percent = 0\nshare_pairs = 1\nshare_holders = 2\n"


class Team:
    """Aster's reviewers: a casebook, holdings, and Borealis, whose report of an address Aster's accounts rest on."""

    def __init__(self, terminal: Session, folder: Path) -> None:
        self.terminal, self.folder = terminal, folder
        make(folder / "casebook", SETTINGS)
        self.hold(("a1", *MAIL), ("a1", *CARD), ("a2", *MAIL), ("a2", *OTHER))
        self.report(1)
        self.take()

    def hold(self, *rows: tuple[str, str, str]) -> None:
        day = now() // 86_400
        columns = "account VARCHAR, type VARCHAR, value VARCHAR, first_day INTEGER, last_day INTEGER"
        self.holdings = self.folder / "holdings.parquet"
        self.holdings.unlink(missing_ok=True)
        write_table(self.holdings, columns, [(*row, day - 9, day) for row in rows])

    def report(self, number: int, *more: str) -> None:
        assert self.terminal(number, "submit", "=".join(MAIL), *RESALE, *more)[0] == 0

    def matches(self, number: int, value: tuple[str, str] = MAIL) -> list[Match]:
        with self.terminal.world.client(number) as client:
            return list(client.query([value]).matches)

    def book(self) -> Casebook:
        return open_casebook(self.folder / "casebook")

    def take(self, run: int = 1, tlp: Tlp = Tlp.AMBER) -> None:
        """What a run of the detector finds: both accounts rest on the live reports of the address."""
        reporters = tuple((match.writer, match.writer_name, match.index) for match in self.matches(0))
        with self.book() as book:
            found = [
                scored(name, types=(MAIL[0],), value=MAIL[1], reporters=reporters) for name in ("a1", "a2")
            ]
            taken(book, *found, run=run)
            with book.database.writing() as connection:
                connection.exec_driver_sql(f"UPDATE resting SET tlp = {int(tlp)}")

    def confirm(self, *accounts: str, reason: str = "own-evidence") -> None:
        with self.book() as book:
            for account in accounts:
                for who in ("ann", "bea"):
                    with book.database.writing() as connection:
                        connection.exec_driver_sql("UPDATE flag SET votes_needed = 2")
                    with book.database.reading() as connection:
                        flag = flag_of_account(connection, account)
                    decide(book, flag.no, Decision("confirmed", reason, who), NOW, never)

    def share(self, *more: str) -> tuple[int, str, str]:
        return self.terminal(
            0, "review", "share", "--confidence", "70", "--holdings", str(self.holdings), "--by", "ann",
            "--casebook", str(self.folder / "casebook"), "--yes", *more,
        )  # fmt: skip

    def planned(self) -> dict[str, object]:
        return dict(json.loads(self.share("--dry-run", "--json")[1]))

    def said(self, value: tuple[str, str]) -> Report | None:
        """What Aster says of a value now, as Cinder reads it."""
        aster = self.terminal.world.homes[0].id
        labels = [match.label for match in self.matches(2, value) if match.writer == aster]
        return next((label for label in labels if isinstance(label, Report)), None)


@pytest.fixture
def team(terminal: Session, tmp_path: Path) -> Team:
    return Team(terminal, tmp_path)


def test_values_of_confirmed_accounts_are_shared_on_with_what_they_rest_on(team: Team) -> None:
    team.confirm("a1", "a2")
    code, out, err = team.share()
    assert (code, out, err) == (0, "3 values shared on, 0 values taken back\n", "")
    (source,) = [match for match in team.matches(2) if match.writer_name == "Borealis"]
    for value, holders in ((MAIL, 2), (CARD, 1), (OTHER, 1)):
        label = team.said(value)
        assert label is not None
        assert (label.evidence.name, label.hops, label.confidence) == ("REVIEWED_MATCH", 1, 70)
        assert label.rests_on == ((source.writer, source.index),)
        assert label.bad_accounts_bucket == holders.bit_length()
    # Nothing changed: nothing is sent, by this call or the next.
    assert team.share()[1] == "nothing to share on or to take back\n3 values shared on as before\n"
    with team.book() as book:
        figures = {one.type: one.shared_on for one in transparency(book, {}, {}).types}
    assert figures["payment.iban"] == 1


def test_only_with_a_reason_of_its_own_and_never_by_sample(team: Team) -> None:
    team.confirm("a1", reason="match-only")
    assert team.planned()["share"] == {}
    with team.book() as book, book.database.writing() as connection:
        connection.exec_driver_sql("UPDATE flag SET state = 'confirmed', sampled = true WHERE account = 'a2'")
    assert team.planned()["share"] == {}


def test_not_before_the_verdicts_were_shown_to_agree(team: Team) -> None:
    code, out, err = team.share()
    assert (code, out) == (4, "")
    assert err.startswith(
        "tocsin: sharing on needs 80 % agreement over 1 pairs of verdicts; there are 0 pairs"
    )


def test_what_many_hold_what_you_report_and_what_is_marked_strictly_is_left_out(team: Team) -> None:
    team.terminal(0, "submit", "=".join(CARD), *RESALE)
    team.hold(("a1", *MAIL), ("a1", *CARD), ("a2", *MAIL), ("a3", *MAIL), ("a2", *OTHER))
    team.confirm("a1", "a2")
    plan = team.planned()
    assert plan["share"] == {"contact.email": 1}
    assert plan["left_out"] == {"held by more than 2 of your accounts": 1, "reported by you already": 1}
    team.take(2, Tlp.AMBER_STRICT)
    assert team.planned()["share"] == {}


def test_what_rested_on_a_retracted_report_is_taken_back(team: Team) -> None:
    team.confirm("a1", "a2")
    team.share()
    team.terminal(1, "retract", "=".join(MAIL))
    # No run of the detector is needed, and a member that was away does it when it is back.
    code, out, _ = team.share()
    assert (code, out) == (0, "0 values shared on, 3 values taken back\n")
    assert [team.said(value) for value in (MAIL, CARD, OTHER)] == [None] * 3
    with team.book() as book:
        figures = transparency(book, {}, {})
    assert figures.withdrawn == 4  # one for each account
    assert figures.median_hours_to_retract is not None


def test_what_rests_on_another_report_too_says_so(team: Team) -> None:
    team.report(2)
    team.take(2)
    team.confirm("a1", "a2")
    team.share()
    label = team.said(CARD)
    assert label is not None
    assert len(label.rests_on) == 2
    team.terminal(1, "retract", "=".join(MAIL))
    assert team.share()[1].startswith("3 values shared on, 0 values taken back")
    label = team.said(CARD)
    assert label is not None
    assert [writer for writer, _ in label.rests_on] == [team.terminal.world.homes[2].id]


def test_a_report_that_was_written_again_is_followed(team: Team) -> None:
    team.confirm("a1", "a2")
    team.share()
    team.report(1)
    assert team.share()[1] == "nothing to share on or to take back\n3 values shared on as before\n"
    team.terminal(1, "retract", "=".join(MAIL))
    assert "3 values taken back" in team.share()[1]


def test_an_account_of_the_members_own_list_keeps_its_report_as_an_own_detection(team: Team) -> None:
    team.confirm("a1", "a2")
    team.share()
    with team.book() as book, book.database.writing() as connection:
        connection.exec_driver_sql("UPDATE flag SET known = true WHERE account = 'a1'")
    team.terminal(1, "retract", "=".join(MAIL))
    code, out, err = team.share()
    assert (code, out, err) == (0, "2 values shared on, 1 value taken back\n", "")
    label = team.said(CARD)
    assert label is not None
    assert (label.evidence.name, label.hops, label.rests_on) == ("OWN_DETECTION", 0, ())
    assert team.said(OTHER) is None


def test_an_appeal_takes_back_what_the_account_alone_holds(team: Team) -> None:
    team.confirm("a1", "a2")
    team.share()
    with team.book() as book:
        appeal(book, "a2", "ann", "a customer wrote", NOW)
    assert team.share()[1] == "1 value shared on, 1 value taken back\n"
    assert team.said(OTHER) is None
    label = team.said(MAIL)
    assert label is not None
    assert label.bad_accounts_bucket == 1


def test_a_value_that_the_holdings_lost_is_named(team: Team) -> None:
    team.confirm("a1", "a2")
    team.share()
    team.hold(("a1", *MAIL))
    with team.book() as book:
        appeal(book, "a2", "ann", "", NOW)
    code, _, err = team.share()
    assert code == 2
    assert "1 value of contact.email should be taken back, but your holdings no longer have" in err


def test_an_interrupted_call_is_finished_by_the_next(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    team.confirm("a1", "a2")

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tocsin.detect.sharing.note_sent", cut)
        assert team.share()[0] == 130
    # The node has the reports, the casebook does not know: they are sent again.
    assert team.share()[1] == "3 values shared on, 0 values taken back\n"
    assert team.share()[1].endswith("3 values shared on as before\n")
