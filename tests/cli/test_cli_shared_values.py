"""MISP, STIX and other people's tables, through `submit` and `query`: what is taken, and what is left out by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.session import RESALE, Session, terminal
from tests.ingest.test_formats import SAMPLES

__all__ = ["terminal"]

MISP_CSV = """uuid,event_id,category,type,value,comment,to_ids,date,attribute_tag
1,7,Financial fraud,iban,DE75512108001245126199,,1,1790000000,tlp:red
2,7,Network activity,ip-src,203.0.113.44,,1,1790000000,
3,7,Network activity,url,https://orchards.example/x,,1,1790000000,
4,7,Payload delivery,sha256,%s,,1,1790000000,
""" % ("ab" * 32)


@pytest.fixture
def misp_csv(tmp_path: Path) -> Path:
    path = tmp_path / "attributes.csv"
    path.write_text(MISP_CSV)
    return path


def test_a_misp_event_and_a_stix_bundle_are_reported_and_found(terminal: Session) -> None:
    misp, stix = SAMPLES / "misp_event.json", SAMPLES / "stix_bundle.json"
    code, out, err = terminal(1, "submit", str(misp), str(stix), *RESALE)
    assert (code, out) == (0, "8 values reported; others see them in about 2 s\n")
    assert f"{misp}: 1 left out, of types that do not exist here: 1 url" in err
    assert (
        f"{stix}: 2 left out, of types that do not exist here: 1 url, 1 indicator with another pattern" in err
    )
    code, out, err = terminal(0, "query", str(misp), str(stix), "--json")
    found = json.loads(out)
    assert (code, found["bad_lines"], err.count("left out")) == (0, [], 2)
    assert {match["type"] for match in found["matches"]} == {
        "contact.email", "contact.phone", "net.ipv4", "org.domain",
    }  # fmt: skip


def test_the_marks_of_misp_limit_a_report(terminal: Session, misp_csv: Path) -> None:
    code, out, err = terminal(1, "submit", str(misp_csv), "--dry-run", "--json", *RESALE)
    assert (code, json.loads(out)["would_report"]) == (0, 2)
    assert "2 left out, of types that do not exist here: 1 url, 1 sha256" in err
    assert [(label["tlp"], label["values"]) for label in json.loads(out)["labels"]] == [
        ("red", {"payment.iban": 1}),
        ("amber", {"net.ipv4": 1}),
    ]
    code, out, err = terminal(0, "query", str(misp_csv))
    assert (code, out.startswith("2 values screened"), "2 left out" in err) == (1, True, True)


@pytest.mark.parametrize(
    ("tlp", "word"),
    [
        ("TLP:RED", "red"),
        ("tlp:amber+strict", "amber-strict"),
        ("Amber", "amber"),
        ("TLP:WHITE", "clear"),
        ("tlp:green", "green"),
    ],
)
@pytest.mark.parametrize("time", ["2026-06-05T10:11:12Z", "2026-06-05 12:11:12.5+02:00", "1780654272"])
def test_marks_and_times_as_other_systems_write_them(
    terminal: Session, tmp_path: Path, tlp: str, word: str, time: str
) -> None:
    path = tmp_path / "values.csv"
    path.write_text(f"Type,Value,TLP,First_Seen\ncontact.email,a@example.com,{tlp},{time}\n")
    said = ("--abuse", "resale", "--confidence", "80")
    code, out, err = terminal(1, "submit", str(path), "--dry-run", "--json", *said)
    assert (code, err) == (0, "")
    assert json.loads(out)["labels"][0]["tlp"] == word


@pytest.mark.parametrize("key", ["tlp", "TLP", " Tlp"])
def test_a_json_arrays_keys_are_columns_in_any_case_and_unknown_ones_are_named(
    terminal: Session, tmp_path: Path, key: str
) -> None:
    path = tmp_path / "values.json"
    path.write_text(
        json.dumps([{"type": "contact.email", "value": "a@example.com", key: "TLP:RED", "Mood": "x"}])
    )
    code, out, err = terminal(1, "submit", str(path), "--dry-run", "--json", *RESALE)
    assert code == 0
    assert json.loads(out)["labels"][0]["tlp"] == "red"
    assert "1 column says nothing in a report: mood" in err
