"""Published snapshots never change, and are what their sources say."""

import gzip
import hashlib
import json
import re
import runpy
import sys
import unicodedata
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path

import pytest

from tocsin.indicators.cards import luhn_valid
from tocsin.indicators.registry import Mode, Refused, observable
from tocsin.indicators.snapshot_files import CURRENT, SNAPSHOT_NAMES, table
from tocsin.indicators.text import drop_unassigned, fold

SNAPSHOTS = files("tocsin.indicators") / "snapshots"
DIGESTS: dict[str, str] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "indicators_snapshots.json").read_text()
)
GENERATOR = Path(__file__).parent / "regenerate_snapshots.py"


def test_published_snapshots_are_unchanged() -> None:
    shipped = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in SNAPSHOTS.iterdir()
        if path.name != "README.md"
    }
    assert shipped == DIGESTS
    assert {re.sub(r"\.(json|dat\.gz|ptfc)$", "", name) for name in shipped} == set(SNAPSHOT_NAMES)


def test_the_common_list_is_what_its_script_makes() -> None:
    made = runpy.run_path(str(GENERATOR))["common_prompts"]()
    assert made == (SNAPSHOTS / f"{CURRENT.common_prompts}.ptfc").read_bytes()


def test_confusables_fold_once_and_for_all() -> None:
    prototypes = table(CURRENT.confusables)["prototypes"]
    sources = "".join(prototypes.values())
    assert len(set(sources)) == len(sources) > 500
    assert all(target.isascii() and target.isalpha() and target.islower() for target in prototypes)
    assert not any(source.isascii() or source.isdecimal() for source in sources)
    assert len(drop_unassigned(sources, CURRENT)) == len(sources)


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="only Python 3.11 carries Unicode 14")
def test_unicode_table_is_what_its_script_makes() -> None:
    made = runpy.run_path(str(GENERATOR))["unicode_table"]()
    assert made == (SNAPSHOTS / "unicode-14.0.0.json").read_bytes()


def test_every_code_point_is_judged_as_unicode_14_does() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    kept = drop_unassigned(everything, CURRENT)
    # 144,697 characters, 137,468 private-use, 2,048 surrogates, 65 controls (Unicode 14.0, appendix D).
    assert len(kept) == 144_697 + 137_468 + 2_048 + 65
    if unicodedata.unidata_version == "14.0.0":
        assert kept == "".join(c for c in everything if unicodedata.category(c) != "Cn")


def test_folding_every_single_code_point_is_stable_or_refused() -> None:
    unstable = 0
    for code in range(0x80, 0x30000):
        try:
            once = fold("contact.email", chr(code), CURRENT)
        except Refused:
            unstable += 1
            continue
        assert fold("contact.email", once, CURRENT) == once
    assert unstable < 10


def test_public_suffix_list_keeps_its_licence() -> None:
    packed = (SNAPSHOTS / f"{CURRENT.public_suffix}.dat.gz").read_bytes()
    assert b"Mozilla Public" in gzip.decompress(packed)[:200]


def test_special_blocks_do_not_overlap() -> None:
    for family in ("ipv4", "ipv6"):
        blocks = [ip_network(entry["block"]) for entry in table(CURRENT.special_purpose_ip)[family]]
        for one in blocks:
            assert not any(one is not two and one.overlaps(two) for two in blocks)


def test_reserved_values_are_accepted_under_test_and_refused_live() -> None:
    reserved = table(CURRENT.reserved)
    values = [("payment.iban", iban, "iban.test") for iban in reserved["ibans"]]
    values += [("payment.composite", f"{card}|2712", "composite.test") for card in reserved["cards"]]
    for entry in reserved["phones"]:
        for pattern in entry["e164"]:
            digits = pattern.replace("[2-9]xx", "202")
            while "[" in digits:
                start, end = digits.index("["), digits.index("]")
                digits = digits[:start] + digits[start + 1] + digits[end + 1 :]
            values.append(("contact.phone", digits.replace("x", "1"), "phone.test"))
    assert len(values) > 150
    for name, value, rule in values:
        assert observable(name, value, mode=Mode.TEST).canonical == value.encode()
        with pytest.raises(Refused) as caught:
            observable(name, value)
        assert caught.value.rule == rule


def test_every_provider_whose_rules_are_known_is_refused_as_an_organisation() -> None:
    free_mail = table(CURRENT.free_mail)
    seen: set[str] = set()
    for rule in table(CURRENT.email_rules)["rules"]:
        assert rule.get("canonical_domain", rule["domains"][0]) in rule["domains"]
        assert not seen & set(rule["domains"])
        seen |= set(rule["domains"])
        assert set(rule.get("brands", ())) <= set(free_mail["brands"])
    assert seen - {*free_mail["shared"], *free_mail["relays"]} == set()


def test_no_mail_domain_is_listed_twice_or_written_otherwise_than_compared() -> None:
    free_mail = table(CURRENT.free_mail)
    names = [
        name
        for section in ("shared", "disposable", "relays", "tenant_suffixes")
        for name in free_mail[section]
    ]
    assert len(names) == len(set(names)) > 14_000
    assert all(name == name.lower() and name.isascii() and "." in name for name in names)


def test_luhn() -> None:
    assert luhn_valid("79927398713")
    assert not any(luhn_valid(f"7992739871{digit}") for digit in "012456789")
