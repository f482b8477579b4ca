"""Who may call what: decided anew for every call, denied unless the table allows it.

1. A method that is not in `METHODS` is refused. The table lists every method of every service that a node serves, and
   a test compares it with their descriptors.
2. The call came over TLS 1.3.
3. The leaf carries exactly one URI, `spiffe://<federation>/<member id>/<role>`, with this federation, a member id of
   32 lower-case hexadecimal digits and the role `client` or `node`.
4. That member is in the current charter, and its own authority in that charter directly issued the leaf.
5. The leaf is valid now.
6. A role is one that the table names for the method. Clients are this node's own member's; nodes are any member's.

The certificate work of rules 3 and 4 is remembered per (leaf, charter version), so a charter that removes a member
ends its open channels at their next call.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtensionOID

from tocsin.charter.document import NotAMember
from tocsin.node.errors import NodeError
from tocsin.wire.reasons import Reason
from tocsin.wire.values import MemberId

if TYPE_CHECKING:
    from tocsin.charter.document import Charter

_REMEMBERED = 512
_PATH = re.compile(r"spiffe://([^/]+)/([0-9a-f]{32})/(client|node)")


class Role(StrEnum):
    """The two kinds of caller."""

    CLIENT = "client"
    NODE = "node"


_CLIENT = frozenset({Role.CLIENT})
_NODE = frozenset({Role.NODE})
_BOTH = frozenset({Role.CLIENT, Role.NODE})

METHODS: Mapping[str, frozenset[Role]] = {
    "/tocsin.v1.EvaluationService/Evaluate": _CLIENT,
    "/tocsin.v1.EvaluationService/EvaluatePartial": _NODE,
    "/tocsin.v1.EvaluationService/ListBudgets": _CLIENT,
    "/tocsin.v1.EvaluationService/GetBudget": _NODE,
    "/tocsin.v1.PublishingService/Submit": _CLIENT,
    "/tocsin.v1.PublishingService/Retract": _CLIENT,
    "/tocsin.v1.PublishingService/GetSubmission": _CLIENT,
    "/tocsin.v1.LogService/ListCheckpoints": _BOTH,
    "/tocsin.v1.LogService/ListIntermediateCheckpoints": _NODE,
    "/tocsin.v1.LogService/ListEntries": _BOTH,
    "/tocsin.v1.LogService/GetConsistencyProof": _BOTH,
    "/tocsin.v1.LogService/GetProvenEntries": _BOTH,
    "/tocsin.v1.LogService/ListForks": _BOTH,
    "/tocsin.v1.LookupService/LookUp": _CLIENT,
    "/tocsin.v1.LookupService/WatchTags": _CLIENT,
    "/tocsin.v1.MembershipService/ListCharters": _BOTH,
    "/tocsin.v1.MembershipService/GetStatus": _CLIENT,
    "/grpc.health.v1.Health/Check": _BOTH,
    "/grpc.health.v1.Health/List": _BOTH,
    "/grpc.health.v1.Health/Watch": _BOTH,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _CLIENT,
}


class NotAllowed(NodeError):
    """The root of every refusal of a caller; `reason` travels in ErrorInfo, the message says what to correct."""

    reason: ClassVar[Reason]


class UnknownMethod(NotAllowed):
    """Rule 1: no role may call it."""

    reason = Reason.UNKNOWN_METHOD


class OldTls(NotAllowed):
    """Rule 2: the connection is not TLS 1.3."""

    reason = Reason.OLD_TLS


class BadCertificate(NotAllowed):
    """Rule 3: no leaf, or one whose names are not those of a client or node of this federation."""

    reason = Reason.BAD_CERTIFICATE


class UnknownMember(NotAllowed):
    """Rule 4: the member is not in the current charter."""

    reason = Reason.UNKNOWN_MEMBER


class ForeignCertificate(NotAllowed):
    """Rule 4: the member's own authority did not issue the leaf."""

    reason = Reason.FOREIGN_CERTIFICATE


class ExpiredCertificate(NotAllowed):
    """Rule 5: the leaf is not valid now."""

    reason = Reason.EXPIRED_CERTIFICATE


class WrongRole(NotAllowed):
    """Rule 6: the role may not call the method, or the client is another member's."""

    reason = Reason.WRONG_ROLE


@dataclass(frozen=True)
class Caller:
    """An authorized caller."""

    member: MemberId
    role: Role


@dataclass(frozen=True)
class _Verified:
    caller: Caller
    not_before: int  # unix seconds
    not_after: int


def parse_identity(uri: str, federation: str) -> Caller:
    """Read a SPIFFE URI by rule 3. Raises `BadCertificate`."""
    parsed = _PATH.fullmatch(uri)
    if parsed is None or parsed[1] != federation:
        raise BadCertificate(
            f"the certificate's URI is not spiffe://{federation}/<member id>/client or …/node; "
            "use one made by `tocsin member init` for this federation"
        )
    return Caller(MemberId(bytes.fromhex(parsed[2])), Role(parsed[3]))


def _identity_uri(leaf: x509.Certificate) -> str:
    try:
        extension = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        raise BadCertificate("the certificate has no subject alternative name, or more than one") from None
    names = extension.value
    uris = (
        names.get_values_for_type(x509.UniformResourceIdentifier)
        if isinstance(names, x509.SubjectAlternativeName)
        else []
    )
    if len(uris) != 1:
        raise BadCertificate(f"the certificate must name exactly one URI, it names {len(uris)}")
    return uris[0]


def verify_leaf(leaf: x509.Certificate, charter: Charter) -> Caller:
    """Check rules 3 and 4 and return who the leaf speaks for. Raises a `NotAllowed`."""
    caller = parse_identity(_identity_uri(leaf), charter.federation)
    try:
        member = charter.member(caller.member)
    except NotAMember:
        raise UnknownMember(
            f"member {caller.member.hex()} is not in charter version {charter.version} of {charter.federation}"
        ) from None
    try:
        leaf.verify_directly_issued_by(x509.load_der_x509_certificate(member.ca))
    except (ValueError, TypeError, InvalidSignature):
        raise ForeignCertificate(
            f"the certificate says it is member {caller.member.hex()}'s, "
            "but that member's authority in the charter did not issue it"
        ) from None
    return caller


class Gate:
    """Applies the rules to each call; safe to use from any thread."""

    def __init__(self, own_member: MemberId, charter: Callable[[], Charter], now: Callable[[], int]) -> None:
        self._own_member = own_member
        self._charter = charter
        self._now = now
        self._lock = threading.Lock()
        self._verified: OrderedDict[tuple[bytes, int], _Verified] = OrderedDict()

    def admit(self, method: str, auth_context: Mapping[str, object]) -> Caller:
        """Return the caller of `method`, or raise the `NotAllowed` of the rule it breaks.

        `auth_context` is grpc's, with the properties `ssl_tls_version` and `x509_pem_cert`.
        """
        allowed = METHODS.get(method)
        if allowed is None:
            raise UnknownMethod("no such method, or nobody may call it")
        # M-8.6, in its order: TLS 1.3, the identity, the member, its CA, validity, the role. M-8.3: both sides.
        if _property(auth_context, "ssl_tls_version") != b"TLSv1.3":
            raise OldTls("the connection must be TLS 1.3")
        verified = self._verify(_property(auth_context, "x509_pem_cert"))
        if not verified.not_before <= self._now() <= verified.not_after:
            raise ExpiredCertificate(
                f"the certificate of member {verified.caller.member.hex()} is not valid now; "
                "rotate it, or correct the clock"
            )
        caller = verified.caller
        if caller.role not in allowed:
            raise WrongRole(
                f"a {caller.role} may not call {method}, and this is member {caller.member.hex()}'s {caller.role}"
            )
        # M-8.7: a client is accepted by its own member's node alone.
        if caller.role is Role.CLIENT and caller.member != self._own_member:
            raise WrongRole(
                f"a client may only call its own member's node, and this is member {caller.member.hex()}'s client"
            )
        return caller

    def _verify(self, pem: bytes) -> _Verified:
        charter = self._charter()
        key = (hashlib.sha256(pem).digest(), charter.version)
        with self._lock:
            known = self._verified.get(key)
            if known is not None:
                self._verified.move_to_end(key)
                return known
        try:
            leaf = x509.load_pem_x509_certificate(pem)
        except ValueError:
            raise BadCertificate("the connection shows no certificate that can be read") from None
        verified = _Verified(
            verify_leaf(leaf, charter),
            int(leaf.not_valid_before_utc.timestamp()),
            int(leaf.not_valid_after_utc.timestamp()),
        )
        with self._lock:
            self._verified[key] = verified
            while len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
        return verified


def _property(auth_context: Mapping[str, object], name: str) -> bytes:
    values = auth_context.get(name)
    first = values[0] if isinstance(values, list | tuple) and values else values
    return first if isinstance(first, bytes) else b""
