"""Every step from a value to a sealed body, from fixed seeds: what `vectors/sealing.json` publishes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from tocsin.oprf import group, rfc9497
from tocsin.oprf.threshold import oprf_input
from tocsin.sealing.box import Purpose, SealInfo, seal, tags
from tocsin.sealing.label import (
    AbuseKind,
    Dispute,
    DisputeReason,
    Evidence,
    LegalBasis,
    Report,
    Role,
    Tlp,
    bucket,
    encode_label,
    encode_record,
)
from tocsin.sealing.pepper import Pepper, pepper_commitment, period_secret, ratchet
from tocsin.sealing.record import encode_band, make_record

FEDERATION = "example.test"
WRITERS = [hashlib.sha256(b"writer %d" % number).digest()[:16] for number in range(3)]


def seeded(name: str) -> Callable[[int], bytes]:
    """Return a random source that gives the same bytes for the same name."""
    state = {"calls": 0}

    def random(length: int) -> bytes:
        state["calls"] += 1
        return hashlib.shake_256(f"{name} {state['calls']}".encode()).digest(length)

    return random


def header(info: SealInfo) -> bytes:
    """Return a SEALED entry's 48-byte header."""
    return bytes([1, 1]) + info.encode() + (2950).to_bytes(4, "big") + bytes(32)


REPORT = Report(
    type="payment.iban",
    tlp=Tlp.AMBER,
    abuse=AbuseKind.DISTILLATION,
    role=Role.OPERATOR,
    bad_accounts_bucket=bucket(25_000),
    exchanges_bucket=bucket(28_800_000),
    first_week=2938,
    last_week=2944,
    evidence=Evidence.REVIEWED_MATCH,
    rests_on=((WRITERS[1], 7), (WRITERS[2], 4_294_967_296)),
    hops=1,
    confidence=90,
    campaign_key=hashlib.sha256(b"campaign").digest(),
    legal_basis=LegalBasis.LEGITIMATE_INTEREST,
)
DISPUTE = Dispute("net.ipv4", ((WRITERS[0], 7), (WRITERS[2], 4_294_967_296)), DisputeReason.SHARED_BY_MANY)
VALUES: list[tuple[Purpose, str, bytes, SealInfo, int, Report | Dispute]] = [
    (Purpose.REPORT, "payment.iban", b"DE89370400440532013000", SealInfo(1, 1, 9), 0, REPORT),
    (Purpose.DISPUTE, "net.ipv4", bytes([192, 0, 2, 1]), SealInfo(5, 4_000_000_000, 12), 3, DISPUTE),
]


def steps() -> dict[str, object]:
    """Return the content of `vectors/sealing.json`."""
    first = Pepper(hashlib.sha256(b"pepper").digest())
    vectors = []
    for purpose, kind, canonical, info, ratcheted, label in VALUES:
        key = group.hash_to_scalar(b"key %d" % info.key_class, b"tocsin/1 test vectors")
        message = oprf_input(kind, canonical)
        blindings, blinded = rfc9497.blind([message], seeded(f"blind {kind}"))
        (output,) = rfc9497.finalize(blindings, rfc9497.evaluate(key, blinded))
        pepper = ratchet(first, ratcheted)
        secret = period_secret(pepper, output)
        encoded = encode_label(label)
        body = seal(
            secret,
            purpose,
            info,
            federation=FEDERATION,
            writer=WRITERS[0],
            header=header(info),
            plaintext=encoded,
            random=seeded(f"nonce {kind}"),
        )
        vectors.append(
            {
                "type": kind,
                "canonical": canonical.hex(),
                "oprf_input": message.hex(),
                "class_key": bytes(key).hex(),
                "output_F": bytes(output).hex(),
                "ratchet_steps": ratcheted,
                "pepper": bytes(pepper).hex(),
                "secret_K": bytes(secret).hex(),
                "purpose": purpose.value,
                "class": info.key_class,
                "epoch": info.epoch,
                "period": info.period,
                "tags": tags(secret, purpose, info, b"".join(WRITERS)).hex(),
                "label": encoded.hex(),
                "writer": WRITERS[0].hex(),
                "header": header(info).hex(),
                "nonce": body[16:40].hex(),
                "body": body.hex(),
            }
        )
    return {
        "about": "Every step of SPEC's sealing: input, output F, pepper, K, tags of three writers, label, body; and of "
        "records: key, ref, shares, Z, tags, label, body, the content of two bands' boxes. Hex.",
        "federation": FEDERATION,
        "writers": [writer.hex() for writer in WRITERS],
        "pepper": bytes(first).hex(),
        "pepper_commitment": pepper_commitment(first).hex(),
        "vectors": vectors,
        "records": [record_steps(first, bands, threshold) for bands, threshold in ((5, 2), (128, 3))],
    }


def record_steps(pepper: Pepper, bands: int, threshold: int) -> dict[str, object]:
    """Return every step from a record key to its ref, shares, tags, label, body and the content of its bands' boxes."""
    random = seeded(f"record of {bands}")
    record = make_record(bands, threshold, random)
    again = seeded(f"record of {bands}")
    coefficients = [group.random_scalar(again) for _ in range(threshold)]
    info = SealInfo(10, 1, 9)
    secret = period_secret(pepper, record.key)
    label = encode_record(replace(REPORT, type="prompt.template", campaign_key=None))
    body = seal(
        secret,
        Purpose.RECORD,
        info,
        federation=FEDERATION,
        writer=WRITERS[0],
        header=header(info),
        plaintext=label,
        random=seeded(f"nonce of {bands}"),
    )
    return {
        "bands": bands,
        "threshold": threshold,
        "coefficients": [bytes(coefficient).hex() for coefficient in coefficients],
        "record_key": bytes(record.key).hex(),
        "ref": record.ref.hex(),
        "shares": [bytes(share).hex() for share in record.shares],
        "secret_Z": bytes(secret).hex(),
        "class": info.key_class,
        "epoch": info.epoch,
        "period": info.period,
        "tags": tags(secret, Purpose.RECORD, info, b"".join(WRITERS)).hex(),
        "label": label.hex(),
        "header": header(info).hex(),
        "nonce": body[16:40].hex(),
        "body": body.hex(),
        "band_1": encode_band("prompt.template-band", [record.slot(1)]).hex(),
        "band_last": encode_band("prompt.template-band", [record.slot(bands)]).hex(),
    }
