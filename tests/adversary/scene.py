"""The federation that the adversaries attack, and what each party of it can lay its hands on.

1. Four members. Aster, Borealis and Cinder hold the committee's three seats, two of which evaluate; Dune holds none.
2. Every node is a real process that also writes down what it receives, so its owner's view is complete.
3. `Scene` gives an adversary a party's files, secrets and traffic. What only the harness may know (a class key, whose
   entry is whose) is in `Truth`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from tests.adversary import spying_node
from tests.federation import Federation
from tocsin.charter.document import Charter, ClassKey, parse_charter
from tocsin.charter.envelope import parse_envelope
from tocsin.client.system import now
from tocsin.founding.members import open_part
from tocsin.indicators.registry import KeyClass, Mode, Observable, observable
from tocsin.localnet.federation import FEDERATION, Home, Nodes, found
from tocsin.oprf import rfc9497, threshold
from tocsin.oprf.group import Element, Scalar, decode_scalar, multiply
from tocsin.oprf.rfc9497 import Output, length_prefixed
from tocsin.oprf.shares import combine_shares
from tocsin.sealing import hpke
from tocsin.sealing.box import Purpose, SealInfo, tags
from tocsin.sealing.pepper import Pepper, period_secret

EPOCH = 1
_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True)
class Row:
    """A sealed entry as it lies in a node's database."""

    writer: bytes
    index: int
    header: bytes
    body: bytes

    @property
    def tag(self) -> bytes:
        return self.body[:16]


@dataclass(frozen=True)
class Heard:
    """A call that a node received."""

    method: str
    caller: bytes
    role: str
    request: bytes
    answer: bytes

    def read(self, kind: type[_M]) -> _M:
        """Parse the request."""
        return kind.FromString(self.request)


class SpyingNodes(Nodes):
    """Node processes whose owners write down what they receive."""

    def launch(self, home: Home) -> None:
        """Start one node without waiting for it."""
        with home.log.open("ab") as log:
            self.processes[home.name] = subprocess.Popen(
                [
                    sys.executable,
                    spying_node.__file__,
                    str(home.folder / "node" / "node.toml"),
                    str(spool(home)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )


def spool(home: Home) -> Path:
    """Where a node's owner writes down what it receives; not a file of the product's."""
    return home.folder / "spied.jsonl"


@dataclass(frozen=True)
class Scene(Federation):
    """A running federation and every party's belongings."""

    @functools.cached_property
    def charter(self) -> Charter:
        """What every member has."""
        return parse_charter(parse_envelope((self.homes[0].client / "charter.json").read_bytes()).document)

    def class_key(self, key_class: KeyClass) -> ClassKey:
        """The public part of a class key."""
        return self.charter.class_key(int(key_class), EPOCH)

    def info(self, key_class: KeyClass) -> SealInfo:
        """Class, epoch and period of what is written now."""
        return SealInfo(int(key_class), EPOCH, self.charter.period_at(now()))

    def pepper(self, home: Home) -> Pepper:
        """What a member's client opens from the charter; each member has it."""
        return open_pepper(self.charter, home, open_part(home.folder, "client")["client_hpke"])

    def heard(self, home: Home, since: int = 0) -> list[Heard]:
        """What a node has received, from a position of its spool on."""
        if not spool(home).exists():
            return []
        with spool(home).open() as file:
            file.seek(since)
            found = [json.loads(line) for line in file if line.endswith("\n")]
        return [
            Heard(
                call["method"],
                bytes.fromhex(call["caller"]),
                call["role"],
                base64.b64decode(call["request"]),
                base64.b64decode(call.get("answer", "")),
            )
            for call in found
        ]


def open_pepper(charter: Charter, home: Home, private_key: bytes) -> Pepper:
    """Open the charter's pepper with the private key of a member's client."""
    period = charter.period
    info = hpke.pepper_info(charter.federation, period.number, home.id)
    return Pepper(hpke.open_sealed(private_key, info, period.sealed[home.id]))


def heard_size(home: Home) -> int:
    """How long a node's spool is."""
    return spool(home).stat().st_size if spool(home).exists() else 0


def shares_of(home: Home, federation: str = FEDERATION) -> dict[tuple[int, int], Scalar]:
    """The class shares on a member's node, opened with its node key, by class and seat."""
    private_key = open_part(home.folder, "node")["node_hpke"]
    found = {}
    for file in (home.folder / "node" / "shares").glob("*.share"):
        key_class, epoch, seat = (int(part) for part in file.stem.split("-"))
        info = hpke.share_info(federation, key_class, epoch, seat, home.id)
        found[key_class, seat] = decode_scalar(hpke.open_sealed(private_key, info, file.read_bytes()))
    return found


def entries_in(home: Home) -> list[Row]:
    """Every live sealed entry in a node's own database, its copies of the others' logs included."""
    with sqlite3.connect(f"file:{home.folder / 'node' / 'node.db'}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT log.member, body.leaf_index, leaf.header, body.tag, body.sealed FROM body "
            "JOIN leaf ON leaf.log = body.log AND leaf.leaf_index = body.leaf_index "
            "JOIN log ON log.no = body.log ORDER BY body.log, body.leaf_index"
        ).fetchall()
    return [Row(bytes(a), index, bytes(b), bytes(c) + bytes(d)) for a, index, b, c, d in rows]


def emails(seed: str, count: int) -> list[Observable]:
    """Addresses of nobody, each beginning with eight characters of its own."""
    numbers = (hash_of(f"{seed}/{number}") for number in range(count))
    return [observable("contact.email", f"{number[:12]}@example.com", mode=Mode.TEST) for number in numbers]


def phones(first: int, count: int) -> list[Observable]:
    """Telephone numbers of Ofcom's range for drama, which has a thousand."""
    return [
        observable("contact.phone", f"+447700900{number:03}", mode=Mode.TEST)
        for number in range(first, first + count)
    ]


def hash_of(text: str) -> str:
    """Letters that repeat under a seed."""
    return hashlib.sha256(text.encode()).hexdigest().translate(str.maketrans("0123456789", "ghijklmnop"))


def inputs_of(values: Sequence[Observable]) -> list[bytes]:
    """The OPRF inputs of values."""
    return [threshold.oprf_input(value.type, value.canonical) for value in values]


def elements_of(values: Sequence[Observable]) -> list[Element]:
    """The group elements that values hash to, before any blinding."""
    return list(_elements(tuple(values)))


@functools.lru_cache(maxsize=8)
def _elements(values: tuple[Observable, ...]) -> list[Element]:
    _, elements = rfc9497.blind(inputs_of(values), _ones)
    return elements


def outputs_under(key: Scalar, values: Sequence[Observable]) -> list[Output]:
    """F of values under a whole key (RFC 9497 §3.3.1 Evaluate): what its holder computes offline, asking nobody."""
    evaluated = multiply(key, elements_of(values))
    return [
        Output(hashlib.sha512(length_prefixed(item) + length_prefixed(element) + b"Finalize").digest())
        for item, element in zip(inputs_of(values), evaluated, strict=True)
    ]


def tags_under(output: bytes, pepper: bytes, info: SealInfo, writers: Sequence[bytes]) -> list[bytes]:
    """The tags of reports under an output, by writer."""
    joined = tags(period_secret(Pepper(pepper), output), Purpose.REPORT, info, b"".join(writers))
    return [joined[place : place + 16] for place in range(0, len(joined), 16)]


def _ones(size: int) -> bytes:
    return (1).to_bytes(size, "little")


@dataclass(frozen=True, eq=False)
class Truth:
    """What only the harness knows."""

    scene: Scene

    @functools.cache  # noqa: B019 - one scene lives as long as the tests
    def key(self, key_class: KeyClass) -> Scalar:
        """A whole class key, which no party ever holds."""
        class_key = self.scene.class_key(key_class)
        held: dict[int, Scalar] = {}
        for home in self.scene.homes:
            for (number, seat), share in shares_of(home).items():
                if number == key_class and len(held) < class_key.threshold:
                    held[seat] = share
        return combine_shares(held)

    def outputs(self, key_class: KeyClass, values: Sequence[Observable]) -> list[Output]:
        """F of values as an honest evaluation gives it."""
        return outputs_under(self.key(key_class), values)

    def report_tags(self, home: Home, key_class: KeyClass, values: Sequence[Observable]) -> list[bytes]:
        """The tag of each value's report in a member's log."""
        pepper, info = self.scene.pepper(home), self.scene.info(key_class)
        return [tags_under(output, pepper, info, [home.id])[0] for output in self.outputs(key_class, values)]


@contextmanager
def staged(folder: Path, budgets: dict[KeyClass, int]) -> Iterator[Scene]:
    """Found and run the federation."""
    homes = found(folder, 4, committee=3, threshold=2, budgets=budgets)
    with SpyingNodes(homes) as nodes:
        yield Scene(homes, nodes)
