"""A campaign's page: self-contained, escaped, masked, and marked with what may be shown."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.detect.casebook.scored import ALDER, BIRCH, DAY, NOW, never, opened, taken
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.campaigns import rename, set_room, update_campaigns
from tocsin.detect.casebook.deciding import Decision, decide
from tocsin.detect.casebook.errors import NoSuchCampaign
from tocsin.detect.casebook.flags import list_flags
from tocsin.detect.casebook.intake import RestsOn, Scored
from tocsin.detect.explaining import Explanation, Reason
from tocsin.detect.reports.campaign import CampaignFile, Held, gather
from tocsin.detect.reports.page import render
from tocsin.sealing.label import Tlp

EVIL = '<script>alert("x")</script>\'&'
VALUES = {"payment.par": "PAR-SECRET", "net.ipv4-24": "203.0.113.0/24", EVIL: EVIL}
GROUPS = {"payment.par": "person", "net.ipv4-24": "network", EVIL: EVIL}


class Read(HTMLParser):
    """Everything that a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def holder(account: str, *types: str, tlps: tuple[int, int] = (3, 4), hub: bool = False) -> Scored:
    reasons = tuple(
        Reason(type, VALUES[type], type, GROUPS[type], 22, 220, True, 1, ("Alder", EVIL), 3, 400, hub)
        for type in types
    )
    entries = {
        (type, VALUES[type]): (
            RestsOn(ALDER, "Alder", 7, 0, False, tlps[0]),
            RestsOn(BIRCH, EVIL, 9, 1, True, tlps[1]),
        )
        for type in types
    }
    return Scored(Explanation(account, 34, True, ("person",), reasons, (), ()), 1, None, False, entries)


@pytest.fixture
def book(tmp_path: Path) -> Casebook:
    book = opened(tmp_path / "casebook")
    taken(
        book,
        holder("acct-a", *VALUES),
        holder("acct-b", "payment.par"),
        holder("acct-c", EVIL, "net.ipv4-24"),
    )
    update_campaigns(book, NOW)
    with book.database.reading() as connection:
        flags = list_flags(connection, NOW)
    decide(book, flags[0].no, Decision("confirmed", "own-evidence", EVIL, "for my eyes"), NOW, never)
    rename(book, "C1", EVIL, EVIL, NOW)
    set_room(book, "C1", "aabb", EVIL, NOW + DAY)
    return book


def gathered(book: Casebook, widest: Tlp = Tlp.AMBER_STRICT, *, unmasked: bool = False) -> CampaignFile:
    rows = tuple(
        (account, type, VALUES[type], NOW // DAY - 9, NOW // DAY)
        for account in ("acct-a", "acct-b", "acct-c")
        for type in VALUES
    )
    return gather(book, "C1", NOW + 2 * DAY, widest=widest, held=Held(rows), unmasked=unmasked)


def read(page: str) -> Read:
    parsed = Read()
    parsed.feed(page)
    return parsed


@pytest.mark.parametrize("unmasked", [False, True])
def test_nothing_is_loaded_and_nothing_runs(book: Casebook, unmasked: bool) -> None:
    parsed = read(render(gathered(book, unmasked=unmasked), None))
    assert not {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "a",
        "base",
        "image",
        "use",
    } & set(parsed.tags)
    assert not [
        name for name, _ in parsed.attributes if name.startswith("on") or name in {"src", "href", "style"}
    ]
    policy = (
        dict(parsed.attributes)["content"]
        if False
        else [v for n, v in parsed.attributes if "default-src" in v]
    )
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]
    assert "url(" not in render(gathered(book, unmasked=unmasked), None)
    assert EVIL in parsed.text


def test_values_accounts_and_private_notes_are_masked(book: Casebook) -> None:
    page = render(gathered(book), None)
    assert not [text for text in ("PAR-SECRET", "203.0.113", "acct-a", "for my eyes") if text in page]
    shown = render(gathered(book, unmasked=True), None)
    assert [text for text in ("PAR-SECRET", "203.0.113.0/24", "acct-a") if text not in shown] == []
    assert "for my eyes" not in shown
    assert "keep it inside the team" in shown


def test_the_same_casebook_gives_the_same_page(book: Casebook) -> None:
    assert render(gathered(book), None) == render(gathered(book), None)


@pytest.mark.parametrize(
    ("tlps", "widest", "names", "withheld", "mark"),
    [
        ((3, 4), Tlp.AMBER_STRICT, {"Alder", EVIL}, 0, "TLP:AMBER."),
        ((2, 4), Tlp.AMBER_STRICT, {"Alder", EVIL}, 0, "TLP:AMBER+STRICT."),
        ((1, 4), Tlp.AMBER_STRICT, {EVIL}, 1, "TLP:AMBER."),
        ((1, 0), Tlp.AMBER_STRICT, set(), 2, "TLP:AMBER."),
        ((1, 4), Tlp.RED, {"Alder", EVIL}, 0, "TLP:RED."),
        ((3, 4), Tlp.GREEN, {EVIL}, 1, "TLP:AMBER."),
    ],
)
def test_reports_are_shown_as_far_as_their_writers_allow(
    tmp_path: Path, tlps: tuple[int, int], widest: Tlp, names: set[str], withheld: int, mark: str
) -> None:
    book = opened(tmp_path / "casebook")
    taken(book, *(holder(account, "payment.par", tlps=tlps) for account in ("acct-a", "acct-b", "acct-c")))
    about = gathered(book, widest)
    assert {entry.writer_name for entry in about.entries} == names
    assert about.withheld == withheld
    parsed = read(render(about, None))
    assert mark in parsed.text
    for name in {"Alder", EVIL} - names:
        assert name not in parsed.text


def test_each_picture_has_its_table(book: Casebook) -> None:
    page = render(gathered(book), None)
    assert page.count("<svg") == 2
    assert page.count("<table") >= 5
    assert page.count("aria-label") == 2


def test_a_campaign_of_many_accounts_and_values_fits(tmp_path: Path) -> None:
    book = opened(tmp_path / "casebook")
    names = [f"t{number}" for number in range(30)]
    VALUES.update({name: name for name in names})
    GROUPS.update(dict.fromkeys(names, "tooling"))
    taken(book, *(holder(f"a{number:03}", *names[number % 29 : number % 29 + 2]) for number in range(300)))
    update_campaigns(book, NOW)
    about = gather(book, "C1", NOW, widest=Tlp.RED, held=None, unmasked=False)
    page = render(about, None)
    assert "not drawn: " in page
    assert "and 100 more" in page
    for name in names:
        del VALUES[name], GROUPS[name]


def test_a_campaign_that_is_not_there(book: Casebook) -> None:
    with pytest.raises(NoSuchCampaign, match="there is no campaign C9 now"):
        gather(book, "C9", NOW, widest=Tlp.RED, held=None, unmasked=False)
