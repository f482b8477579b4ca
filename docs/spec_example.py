"""Makes the generated parts of protos/SPEC.md and docs/threat-model.md.

`python docs/spec_example.py` writes all of them into the documents; with a name it prints that one.

1. `example` is the worked example, `enumerable` the threat model's table; the others are the tables of numbers.
2. A part stands in its document between `<!-- <name>:begin -->` and `<!-- <name>:end -->`; a test compares them.
3. Every secret of the example is `SHA-512("spec " ‖ its name)`, cut to the size it needs, so that anybody can redo it.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path

from tocsin.indicators.registry import TYPES, KeyClass, Mode, observable
from tocsin.oprf import group, rfc9497, shares, threshold
from tocsin.oprf.group import Element, Random
from tocsin.oprf.threshold import Context, PartialEvaluation
from tocsin.primitives.ed25519 import SigningKey
from tocsin.sealing.box import Purpose, SealInfo, seal, tags
from tocsin.sealing.label import (
    AbuseKind,
    ContentKind,
    DisputeReason,
    Evidence,
    LegalBasis,
    Report,
    Role,
    Tlp,
    bucket,
    encode_label,
)
from tocsin.sealing.pepper import Pepper, pepper_commitment, period_secret
from tocsin.sealing.rooms import RoomStatus
from tocsin.tlog.checkpoint import Checkpoint, log_origin, log_verifier, sign_checkpoint
from tocsin.tlog.cosignature import add_cosignature, cosigner_name, cosigner_verifier
from tocsin.tlog.entry import Entry, Kind, charter_header, parse_body, sealed_header, weeks_after
from tocsin.tlog.merkle import Frontier
from tocsin.tlog.note import SignatureType, Signer

FEDERATION = "spec.example"
MEMBERS = {name: bytes([fill]) * 16 for name, fill in (("A", 0xA1), ("B", 0xB2), ("C", 0xC3))}
REPORTER, ASKER = MEMBERS["A"], MEMBERS["B"]
EPOCH = 1
PERIOD = 7
NOW = 1_780_000_000
QUORUM = (1, 3)
DEFAULT_BUDGET = 10_000_000
"""Q where the founders agree on nothing else; the test compares it with `tocsin charter draft`."""
BUDGET_LEFT = DEFAULT_BUDGET - 1
TYPE = "contact.email"
VALUE = "Mallory@Example.COM"
QUORUMS = ((3, 2), (5, 3))
"""The committees (c, t) that the threat model works out."""


def fixed(name: str) -> Random:
    """The example's random source called `name`: n bytes of SHA-512("spec " ‖ name), n at most 64."""
    digest = hashlib.sha512(f"spec {name}".encode()).digest()
    return lambda n: digest[:n]


def lines(name: str, value: bytes | str) -> Iterator[str]:
    """One named value: text as it is, bytes as hex, 32 to a line."""
    rows = (
        [value] if isinstance(value, str) else [value[at : at + 32].hex() for at in range(0, len(value), 32)]
    )
    for number, row in enumerate(rows):
        yield f"{name if not number else '':<15} {row}"


def example() -> str:
    """The worked example: one value from text to a signed checkpoint, as a Markdown block."""
    seen = observable(TYPE, VALUE, mode=Mode.TEST)
    oprf_input = threshold.oprf_input(seen.type, seen.canonical)
    output, evaluation = _evaluate(seen.key_class, oprf_input)

    pepper = Pepper(fixed("pepper")(32))
    secret = period_secret(pepper, output)
    info = SealInfo(seen.key_class, EPOCH, PERIOD)
    not_after = weeks_after(NOW, seen.key_class.retention_days * 86_400)
    header = sealed_header(seen.key_class, EPOCH, PERIOD, not_after)
    label = encode_label(_label())
    body = seal(
        secret,
        Purpose.REPORT,
        info,
        federation=FEDERATION,
        writer=REPORTER,
        header=header.encode(),
        plaintext=label,
        random=fixed("nonce"),
    )
    first, second = (
        Entry(charter_header(hashlib.sha256(b"spec charter").digest())),
        Entry(header, parse_body(body)),
    )
    tree, _ = Frontier().append([first.leaf_hash(), second.leaf_hash()])

    rows = [
        *lines("canonical", seen.canonical.decode()),
        *lines("oprf input", oprf_input),
        *evaluation,
        *lines("F", output),
        *lines("pepper", pepper),
        *lines("commitment", pepper_commitment(pepper)),
        *lines("K", secret),
        *lines("info", info.encode()),
        *lines("tag of A", tags(secret, Purpose.REPORT, info, REPORTER)),
        *lines("label", label),
        *lines("header", header.encode()),
        *lines("nonce", body[16:40]),
        *lines("SHA-256(body)", hashlib.sha256(body).digest()),
        *lines("leaf hash 0", first.leaf_hash()),
        *lines("leaf hash 1", second.leaf_hash()),
        *lines("root of 2", tree.root()),
    ]
    note = _checkpoint(Checkpoint(log_origin(FEDERATION, REPORTER), tree.size, tree.root()))
    return "\n".join(["```text", *rows, "", *note.splitlines(), "```"])


def _evaluate(key_class: KeyClass, oprf_input: bytes) -> tuple[bytes, list[str]]:
    key = group.random_scalar(fixed("class key"))
    dealt = shares.split(key, 3, 2, fixed("coefficient 1"))
    committee = tuple(MEMBERS.values())
    committee_hash = threshold.committee_hash(committee, dealt.commitments)
    blindings, blinded = rfc9497.blind([oprf_input], fixed("blind"))
    rows = [
        *lines("Y", dealt.commitments[0]),
        *lines("commitment 1", dealt.commitments[1]),
        *lines("committee hash", committee_hash),
        *lines("blinded", blinded[0]),
    ]
    partials: list[PartialEvaluation] = []
    for seat in QUORUM:
        context = Context(
            FEDERATION, key_class, EPOCH, committee_hash, seat, committee[seat - 1], ASKER, QUORUM
        )
        partial = threshold.evaluate(
            dealt.shares[seat - 1], dealt.commitments, context, blinded, fixed(f"proof {seat}")
        )
        threshold.verify(dealt.commitments, context, blinded, partial)
        statement = threshold.signed_statement(context, blinded, partial, BUDGET_LEFT, NOW)
        rows += [
            *(lines("context 1", context.encode()) if seat == QUORUM[0] else ()),
            *lines(f"evaluated {seat}", partial.evaluated[0]),
            *lines(f"proof {seat}", partial.proof),
            *lines(f"signature {seat}", SigningKey(fixed(f"node key {seat}")(32)).sign(statement)),
        ]
        partials.append(partial)
    combined: list[Element] = threshold.combine(partials)
    output = rfc9497.finalize(blindings, combined)[0]
    return output, [*rows, *lines("combined", combined[0])]


def _label() -> Report:
    week = NOW // (7 * 86_400)
    return Report(
        type=TYPE,
        tlp=Tlp.AMBER,
        abuse=AbuseKind.DISTILLATION,
        role=Role.OPERATOR,
        bad_accounts_bucket=bucket(40),
        exchanges_bucket=bucket(120_000),
        first_week=week - 6,
        last_week=week,
        evidence=Evidence.OWN_DETECTION,
        rests_on=(),
        hops=0,
        confidence=90,
        campaign_key=None,
        legal_basis=LegalBasis.LEGITIMATE_INTEREST,
    )


def _checkpoint(checkpoint: Checkpoint) -> str:
    log = SigningKey(fixed("log key")(32))
    cosigner = SigningKey(fixed("cosigner key")(32))
    note = sign_checkpoint(checkpoint, Signer(log_verifier(checkpoint.origin, log.public_key), log.sign))
    name = cosigner_name(FEDERATION, REPORTER)
    signer = Signer(cosigner_verifier(name, cosigner.public_key), cosigner.sign)
    return add_cosignature(note, signer, NOW).decode()


def most_guesses(budget: int, c: int, t: int, f: int) -> float:
    """The most values that a member with f corrupted seats can test in one epoch: Q·(c−f)/(t−f), f < t."""
    return budget * (c - f) / (t - f)


def enumerable(budget: int) -> str:
    """The threat model's table of coverage at budget Q, for f = t − 1 and the smallest space of each type."""
    rows = []
    for indicator_type in TYPES.values():
        covers = [most_guesses(budget, c, t, t - 1) / 2**indicator_type.min_strength for c, t in QUORUMS]
        verdict = "yes" if max(covers) > 0.01 else "no"
        rows.append(
            (f"`{indicator_type.name}`", f"2^{indicator_type.min_strength}", *map(_percent, covers), verdict)
        )
    heads = (f"c = {c}, t = {t}, f = {t - 1}" for c, t in QUORUMS)
    return table(("type", "smallest space", *heads, "enumerable"), rows)


def _percent(cover: float) -> str:
    if cover >= 1:
        return "all"
    return f"{cover:.2%}" if cover >= 0.0001 else "below 0.01%"


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    every = [list(heads), *([str(cell) for cell in row] for row in rows)]
    every.insert(1, ["---"] * len(every[0]))
    return (
        "\n".join(f"| {' | '.join(row)} |" for row in every)
        .replace("| --- ", "|---")
        .replace("|--- |", "|---|")
    )


def word(number: IntEnum) -> str:
    """A number's name as the documents write it."""
    return number.name.lower().replace("_", "-")


def numbers(*enums: tuple[str, type[IntEnum]]) -> str:
    """One row for each number of each enumeration."""
    return table(
        ("field", "number", "meaning"),
        ((field, int(member), f"`{word(member)}`") for field, enum in enums for member in enum),
    )


def types() -> str:
    """The registered types."""
    return table(
        ("type", "class", "version", "smallest space", "may stand alone"),
        (
            (
                f"`{indicator_type.name}`",
                f"`{indicator_type.key_class.label}`",
                indicator_type.version,
                f"2^{indicator_type.min_strength}",
                "yes" if indicator_type.alone else "no",
            )
            for indicator_type in TYPES.values()
        ),
    )


def classes() -> str:
    """The key classes."""
    return table(
        ("number", "class", "retention, days"),
        ((int(key_class), f"`{key_class.label}`", key_class.retention_days) for key_class in KeyClass),
    )


_PURPOSE_KEYS = {
    Purpose.REPORT: "F",
    Purpose.DISPUTE: "F",
    Purpose.CAMPAIGN: "campaign key",
    Purpose.SIGHTING: "campaign key",
    Purpose.RECORD: "record key",
}


def kinds() -> str:
    """Kinds of entries, and of contents with the purposes that seal them."""
    # A band's box is a report of the band: the one kind that shares another's purpose.
    purposes = {
        kind: Purpose.REPORT if kind is ContentKind.BAND else Purpose[kind.name] for kind in ContentKind
    }
    contents = table(
        ("content kind", "purpose", "the key of Z"),
        ((int(kind), f"`{purpose}`", _PURPOSE_KEYS[purpose]) for kind, purpose in purposes.items()),
    )
    return numbers(("kind of an entry", Kind)) + "\n\n" + contents


BLOCKS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "example": ("protos/SPEC.md", example),
    "types": ("protos/SPEC.md", types),
    "classes": ("protos/SPEC.md", classes),
    "kinds": ("protos/SPEC.md", kinds),
    "labels": (
        "protos/SPEC.md",
        lambda: numbers(
            ("TLP", Tlp),
            ("abuse", AbuseKind),
            ("role", Role),
            ("evidence", Evidence),
            ("legal basis", LegalBasis),
            ("reason of a dispute", DisputeReason),
            ("status of a campaign", RoomStatus),
        ),
    ),
    "signatures": ("protos/SPEC.md", lambda: numbers(("type of a note's signature", SignatureType))),
    "enumerable": ("docs/threat-model.md", lambda: enumerable(DEFAULT_BUDGET)),
}
"""Document and maker of each part, by name."""


def replaced(document: str, name: str, part: str) -> str:
    """The document with the part between its marks. Raises ValueError where the marks are missing."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    start = document.index(begin) + len(begin)
    return document[:start] + part + "\n" + document[document.index(end, start) :]


def main() -> None:
    """Print the part named on the command line, or write all of them."""
    if len(sys.argv) > 1:
        sys.stdout.write(BLOCKS[sys.argv[1]][1]() + "\n")
        return
    root = Path(__file__).resolve().parents[1]
    for name, (place, make) in BLOCKS.items():
        path = root / place
        path.write_text(replaced(path.read_text(), name, make()))


if __name__ == "__main__":
    main()
