"""The documents say what the code does: generated parts, rule numbers, tables, and the example done again by hand."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from nacl.signing import SigningKey

from docs import spec_example
from tocsin.charter.document import (
    LOOK_BACK_SECONDS,
    MAX_DOCUMENT_BYTES,
    PERIOD_SECONDS,
    ClassKey,
    parse_charter,
)
from tocsin.charter.envelope import DOMAIN
from tocsin.charter.eras import ADOPTION_SECONDS
from tocsin.charter.parts import CONTACT_KEYS, MEMBER_KEYS
from tocsin.charter.rules import CLOCK_SKEW_SECONDS, quorum
from tocsin.founding.keys import DEFAULT_BUDGET
from tocsin.indicators.registry import TYPES
from tocsin.node.rpc import authorize
from tocsin.node.service import errors as service_errors
from tocsin.oprf import group, threshold
from tocsin.proofs import fork
from tocsin.sealing import box, label, pepper
from tocsin.tlog import entry, note
from tocsin.wire import limits, status

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "protos" / "SPEC.md").read_text()
THREATS = (ROOT / "docs" / "threat-model.md").read_text()
HEADINGS = re.compile(r"^## (\d+)\. ", re.MULTILINE)


def rows(document: str, first_heading: str) -> list[list[str]]:
    """The cells of the table whose heading row starts with this cell."""
    found: list[list[str]] = []
    inside = False
    for line in document.splitlines():
        if line.startswith(f"| {first_heading} |"):
            inside = True
        elif inside and not line.startswith("|"):
            break
        elif inside and not line.startswith("|---"):
            found.append([cell.strip(" `") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert found, f"no table begins with {first_heading}"
    return found


def example() -> dict[str, str]:
    """Every named value of the worked example, as it stands in the SPEC."""
    block = SPEC.split("<!-- example:begin -->")[1].split("<!-- example:end -->")[0]
    values: dict[str, str] = {}
    name = ""
    for line in block.split("\n\n")[0].splitlines():
        if line and not line.startswith("```"):
            name = line[:15].strip() or name
            values[name] = values.get(name, "") + line[16:]
    return values


@pytest.mark.parametrize("name", spec_example.BLOCKS)
def test_a_generated_part_is_what_the_generator_makes(name: str) -> None:
    place, make = spec_example.BLOCKS[name]
    document = (ROOT / place).read_text()
    assert document == spec_example.replaced(document, name, make()), "run: python docs/spec_example.py"


def test_the_example_begins_on_the_first_screen() -> None:
    assert "<!-- example:begin -->" in SPEC.splitlines()[:12]


def test_rule_ids_are_consecutive_in_every_section() -> None:
    sections = HEADINGS.split(SPEC)[1:]
    numbers = [int(number) for number in sections[::2]]
    assert numbers == list(range(1, 12))
    for number, text in zip(numbers, sections[1::2], strict=True):
        ids = re.findall(r"^- \*\*M-(\d+)\.(\d+)\*\*", text, re.MULTILINE)
        assert ids == [(str(number), str(at)) for at in range(1, len(ids) + 1)]
        assert ids or number == 11


def test_every_reference_to_a_rule_or_section_exists() -> None:
    defined = set(re.findall(r"\*\*(M-\d+\.\d+)\*\*", SPEC))
    sections = set(re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", SPEC, re.MULTILINE))
    referring = [SPEC, THREATS, *(path.read_text() for path in (ROOT / "docs" / "decisions").glob("*.md"))]
    assert {cited for text in referring for cited in re.findall(r"\bM-\d+\.\d+", text)} <= defined
    assert set(re.findall(r"§(\d+(?:\.\d+)?)", re.sub(r"RFC \d+ §[\d.]+", "", SPEC))) <= sections
    comments = "".join(path.read_text() for path in (ROOT / "protos" / "tocsin" / "v1").glob("*.proto"))
    named = set(re.findall(r"SPEC\.md §(\d+(?:\.\d+)?)", comments))
    assert named
    assert named <= sections


def test_the_example_again_with_nothing_but_hashes() -> None:
    hex_of = example()
    value = {name: bytes.fromhex(text) for name, text in hex_of.items() if name != "canonical"}
    canonical = hex_of["canonical"].encode()

    def prefixed(text: bytes) -> bytes:
        return len(text).to_bytes(2, "big") + text

    assert value["oprf input"] == b"tocsin/1" + prefixed(b"contact.email") + prefixed(canonical)
    members = [bytes([fill]) * 16 for fill in (0xA1, 0xB2, 0xC3)]
    committee = b"\x03" + b"".join(members) + b"\x02" + value["Y"] + value["commitment 1"]
    assert value["committee hash"] == hashlib.sha256(committee).digest()
    assert value["context 1"] == (
        b"tocsin/1 evaluate" + prefixed(b"spec.example") + b"\0\3\0\0\0\1" + value["committee hash"]
        + b"\1" + members[0] + members[1] + prefixed(b"\1\3")
    )  # fmt: skip

    k = hmac.digest(value["pepper"], value["F"], "sha256")
    assert value["K"] == k
    assert value["commitment"] == hashlib.sha256(b"tocsin/1 pepper" + value["pepper"]).digest()
    assert value["info"] == b"\0\3" + b"\0\0\0\1" + b"\0\0\0\7"
    tag_key = hmac.digest(k, b"tocsin/1 tag" + prefixed(b"report") + value["info"] + b"\1", "sha256")
    assert value["tag of A"] == Cipher(AES256(tag_key), ECB()).encryptor().update(members[0])
    assert value["header"][:12] == b"\1\1" + value["info"]
    assert value["nonce"] == hashlib.sha512(b"spec nonce").digest()[:24]
    leaf = value["header"] + value["SHA-256(body)"]
    assert value["leaf hash 1"] == hashlib.sha256(b"\0" + leaf).digest()
    root = hashlib.sha256(b"\1" + value["leaf hash 0"] + value["leaf hash 1"]).digest()
    assert value["root of 2"] == root
    assert f"\n2\n{base64.b64encode(root).decode()}\n\n— tocsin/spec.example/" in SPEC


def test_the_example_is_signed_as_the_layout_says() -> None:
    value = {name: bytes.fromhex(text) for name, text in example().items() if name != "canonical"}
    statement = b"".join(
        (
            b"tocsin/1 partial",
            len(value["context 1"]).to_bytes(2, "big") + value["context 1"],
            hashlib.sha512(value["blinded"]).digest(),
            hashlib.sha512(value["evaluated 1"]).digest(),
            value["proof 1"],
            (9_999_999).to_bytes(8, "big"),
            (1_780_000_000).to_bytes(8, "big"),
        )
    )
    seed = hashlib.sha512(b"spec node key 1").digest()[:32]
    assert SigningKey(seed).sign(statement).signature == value["signature 1"]


def test_the_example_agrees_with_an_unshared_key() -> None:
    value = example()
    combined, blinded = (bytes.fromhex(value[name]) for name in ("combined", "blinded"))
    key = group.random_scalar(spec_example.fixed("class key"))
    assert group.multiply(key, group.decode_elements([blinded])) == [combined]


def test_reasons_and_their_statuses() -> None:
    listed = {reason: status for reason, status, _ in rows(SPEC, "reason")}
    assert listed == {reason: code.name for reason, code in status.CODES.items()}
    classes = [error for error in vars(service_errors).values() if isinstance(error, type)]
    reasons = {kind.__dict__["reason"] for kind in classes if "reason" in kind.__dict__}
    assert reasons
    assert reasons <= listed.keys()


def test_who_may_call_what() -> None:
    listed = {f"/tocsin.v1.{method}": set(callers.split(", ")) for method, callers in rows(SPEC, "method")}
    table = {method: {str(role) for role in roles} for method, roles in authorize.METHODS.items()}
    assert listed == {method: roles for method, roles in table.items() if method.startswith("/tocsin.v1.")}


def test_kinds_of_forks() -> None:
    listed = {int(number) for number, _ in rows(SPEC, "kind of a fork")}
    assert listed == {fork.SAME_SIZE, fork.PREFIX}


def test_every_type_has_its_canonical_form_described() -> None:
    described = [row[0] for row in rows(SPEC.split("<!-- types:end -->")[1], "type")]
    assert described == list(TYPES)


def test_limits() -> None:
    limit = {what: text.replace(",", "") for what, text in rows(SPEC, "what")}
    expected = {
        "deadline of a unary call": f"{limits.DEADLINE_S:g} s longer ones are cut",
        "elements in a batch": f"1 to {limits.MAX_ELEMENTS}",
        "complaints in a request": f"{limits.MAX_COMPLAINTS}",
        "committee": f"{threshold.MAX_COMMITTEE} seats",
        "entries or tags to retract in a submission": f"1 to {limits.MAX_ENTRIES}",
        "tags in a look-up": f"{limits.MAX_TAGS}",
        "request after decompression": f"{limits.MESSAGE_BYTES >> 20} MiB",
        "entries in one answer": f"{limits.MAX_ENTRIES}",
        "charters in one answer": (
            f"{limits.MAX_CHARTERS} and {limits.MAX_CHARTERS_BYTES >> 20} MiB but for the first"
        ),
        "entries with proofs in a request": f"1 to {limits.MAX_LOCATIONS}",
        "signed note": f"{note.MAX_NOTE_BYTES // 1024} KiB {note.MAX_SIGNATURES} signatures",
        "charter": f"{MAX_DOCUMENT_BYTES >> 20} MiB",
        "label room's entry": f"{label.MAX_LABEL_BYTES} bytes",
    }
    stated = {what.replace(",", ""): text for what, text in limit.items()}
    assert {what: stated[what] for what in expected} == expected


def test_sizes_that_the_rules_name() -> None:
    text = " ".join(SPEC.split())
    assert f"(now − its start) ÷ {PERIOD_SECONDS:,}⌋" in text
    assert pepper.PERIOD_SECONDS == PERIOD_SECONDS
    assert f"not_after · {entry.WEEK_S:,}" in text
    assert (
        f"ends {ADOPTION_SECONDS // 86_400} days after the client adopted the charter that brought the next"
        in text
    )
    assert LOOK_BACK_SECONDS == 60 * 86_400
    assert (box.TAG_BYTES, box.NONCE_BYTES, box.BOX_BYTES, box.BODY_BYTES) == (16, 24, 528, 568)
    assert DOMAIN == b"tocsin/1 charter"
    assert f"more than {CLOCK_SKEW_SECONDS // 60} minutes in the future" in text
    assert f"at most {fork.MAX_PATH} hashes to a proof" in text
    assert "⌊(n + f) ÷ 2⌋ + 1 with f = ⌊(n − 1) ÷ 3⌋" in text
    assert [quorum(n) for n in (1, 2, 3, 4, 7, 10)] == [1, 2, 2, 3, 5, 7]


def test_offsets_of_the_fixed_tables() -> None:
    tables = re.findall(r"\| offset \| bytes \|.*\n\|[-|]+\n((?:\|.*\n)+)", SPEC)
    assert len(tables) == 5
    for text in tables:
        lines = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines()]
        for (start, width), (following, _) in pairwise(lines):
            assert _add(start, width) == following


def _add(start: str, width: str) -> str:
    """The sum of two cells such as `18 + n` and `2 + a`: numbers first, then letters in order."""
    terms = f"{start} + {width}".split(" + ")
    letters = sorted(term for term in terms if not term.isdigit())
    return " + ".join([str(sum(int(term) for term in terms if term.isdigit())), *letters])


def test_every_key_of_the_charter_is_described() -> None:
    table = SPEC.split("## 3. The charter")[1].split("**M-3.1**")[0]
    described = set(re.findall(r"[$.]\.?([a-z_0-9]+)(?:\[\])?`", table))
    from_code = set(_keys(parse_charter.__globals__))
    assert from_code <= described | {"period", "policy", "contact"}, from_code - described


def _keys(module: dict[str, object]) -> Iterable[str]:
    for name in ("_CHARTER", "_PERIOD", "_POLICY", "_CLASS"):
        names = module[name]
        assert isinstance(names, tuple)
        yield from names
    yield from ("id", "name", "endpoints", "ca", *MEMBER_KEYS, "contact", *CONTACT_KEYS)


def test_the_threat_models_budget_is_the_one_that_founders_get() -> None:
    assert spec_example.DEFAULT_BUDGET == DEFAULT_BUDGET
    assert f"{DEFAULT_BUDGET:,}" in THREATS


@pytest.mark.parametrize(("c", "t"), spec_example.QUORUMS)
def test_the_bound_is_the_charters_own(c: int, t: int) -> None:
    [stated] = [row[1:] for row in rows(THREATS, "committee") if row[0] == f"c = {c}, t = {t}"]
    ids = tuple(bytes([seat]) * 16 for seat in range(c))
    commitments = tuple(group.base_multiply(group.scalar_of(number + 1)) for number in range(t))
    key = ClassKey(1, "any", 1, t, ids, commitments, 300, 1, 7, None)
    for corrupted, cell in enumerate(stated):
        coverage = key.coverage(corrupted)
        if coverage is None:
            assert cell == "no bound"
            continue
        assert cell == f"{round(float(coverage) / 300, 2):g} Q"
        assert float(coverage) == pytest.approx(spec_example.most_guesses(300, c, t, corrupted))


def test_decisions_are_numbered_and_short() -> None:
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in files] == list(range(1, len(files) + 1))
    for path in files:
        text = path.read_text()
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert len(text.splitlines()) <= 30
        for part in ("**Context.**", "**Decision.**", "**Consequence.**"):
            assert part in text
