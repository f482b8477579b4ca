"""Members with real authorities and leaves, for tests of TLS and of who may call what."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization

from tocsin.charter.document import Member, NotAMember
from tocsin.founding.certificates import Issued, LeafRole, issue_leaf, make_authority
from tocsin.wire.tls import TlsIdentity

FEDERATION = "test.example"
NOW = int(time.time())  # noqa: TID251 - TLS libraries compare with the system's clock
DAY = 86_400


@dataclass(frozen=True)
class TestMember:
    """A member's authority; its leaves are issued when asked for."""

    __test__ = False

    id: bytes
    authority: Issued

    def identity(
        self,
        role: LeafRole,
        *,
        claims: bytes | None = None,
        federation: str = FEDERATION,
        at: int = NOW,
        days: int = 30,
    ) -> TlsIdentity:
        """A leaf of this member's authority; `claims` is the member it says it is, else this one."""
        leaf = issue_leaf(self.authority, federation, claims or self.id, role, at, days)
        return tls_identity(leaf)

    def record(self, endpoint: str = "127.0.0.1:1") -> Member:
        """What a charter says of the member; its keys but the authority are filler."""
        keys = {
            name: bytes([number]) * 16 + self.id
            for number, name in enumerate(
                ("identity", "log", "cosigner", "node", "node_hpke", "client_hpke"), 1
            )
        }
        return Member(id=self.id, name="Member", endpoints=(endpoint,), ca=self.authority.der, **keys)


def tls_identity(leaf: Issued) -> TlsIdentity:
    key = serialization.load_der_private_key(leaf.private_key, password=None)
    return TlsIdentity(
        leaf.pem,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def make_member(number: int, federation: str = FEDERATION) -> TestMember:
    member = bytes([number]) * 16
    return TestMember(member, make_authority(federation, member, NOW))


@dataclass
class Register:
    """Stands where the gate and the peers ask for a charter: who is a member, in which version."""

    members: dict[bytes, Member]
    version: int = 1
    federation: str = FEDERATION

    def member(self, id: bytes) -> Member:
        if id not in self.members:
            raise NotAMember("member", "$.members", "no such member")
        return self.members[id]

    def remove(self, id: bytes) -> None:
        self.members = {other: member for other, member in self.members.items() if other != id}
        self.version += 1
