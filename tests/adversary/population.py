"""What the members of the attacked federation report.

1. Aster reports 200 addresses and 40 telephone numbers of a range of a thousand. Borealis reports 200 addresses too: by
   a coin, the one that Aster reported at the same place, or another. Nobody but the harness knows the coins.
2. Aster also reports bait: addresses of which its own node is then asked whether others hold them.
3. Cinder and Dune report nothing. Cinder holds Aster's telephone numbers and has asked for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.adversary.game import TRIALS, Coins
from tests.adversary.scene import Scene, emails, phones
from tests.drafts import report_draft
from tocsin.indicators.registry import KeyClass, Observable
from tocsin.sealing.label import AbuseKind, Evidence, LegalBasis, Report, Role, Tlp

TRAINING = 100
BAIT = 340

# Small, so that an adversary can spend all of it. No other row asks for evaluations in these classes.
BUDGETS = dict.fromkeys(
    (KeyClass.IPV4, KeyClass.IPV4_24, KeyClass.IPV6, KeyClass.DEVICE, KeyClass.CONTENT_BAND), 24
)


@dataclass(frozen=True)
class Population:
    """The values and coins; see the module's docstring."""

    aster: list[Observable]
    borealis: list[Observable]
    same: list[int]
    bait: list[Observable]
    phones: list[Observable]


def populate(scene: Scene) -> Population:
    """Report all of it and wait until every node has it."""
    same = Coins("equality").flips(TRIALS + TRAINING)
    ours, others = emails("aster", TRIALS + TRAINING), emails("borealis", TRIALS + TRAINING)
    theirs = [mine if coin else other for mine, other, coin in zip(ours, others, same, strict=True)]
    made = Population(ours, theirs, same, emails("bait", BAIT), phones(300, 40))
    for number, values in ((0, [*made.aster, *made.bait, *made.phones]), (1, made.borealis)):
        with scene.client(number) as client:
            receipt = client.submit(report_draft(value, AbuseKind.RESALE) for value in values)
            assert receipt.accepted == len(values)
    scene.await_followed(60)
    with scene.client(2) as client:
        assert len(client.query(made.phones).matches) == len(made.phones)
    return made


def report() -> Report:
    """A label that an adversary would like others to believe."""
    return Report(
        type="contact.email",
        tlp=Tlp.AMBER,
        abuse=AbuseKind.RESALE,
        role=Role.OPERATOR,
        bad_accounts_bucket=3,
        exchanges_bucket=12,
        first_week=2900,
        last_week=2901,
        evidence=Evidence.OWN_DETECTION,
        rests_on=(),
        hops=0,
        confidence=80,
        campaign_key=None,
        legal_basis=LegalBasis.LEGITIMATE_INTEREST,
    )
