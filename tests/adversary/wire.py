"""Speaking to nodes without the product's client: as a node of a member whose node key the adversary has."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc
from cryptography.hazmat.primitives import serialization
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # ships no stubs
from grpc_status import rpc_status

from tocsin.charter.document import Charter
from tocsin.founding.members import open_part
from tocsin.localnet.federation import Home
from tocsin.oprf.dleq import Proof
from tocsin.oprf.group import Element, decode_elements
from tocsin.oprf.threshold import PartialEvaluation
from tocsin.v1 import entry_pb2, evaluation_pb2, evaluation_pb2_grpc, log_pb2, log_pb2_grpc
from tocsin.wire.limits import PEER_ANSWER_BYTES
from tocsin.wire.tls import TlsIdentity, channel_credentials, channel_options
from tocsin.wire.values import SignedPartial


class Refused(Exception):
    """The node said no; `reason` is the wire's."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class BudgetUsedUp(Refused):
    """The caller's evaluations are used up at that seat."""

    def __init__(self) -> None:
        super().__init__("BUDGET_EXHAUSTED")


class NodeLine:
    """One TLS connection to a node, made with another member's node certificate and key."""

    def __init__(self, charter: Charter, caller: Home, target: Home) -> None:
        key = serialization.load_der_private_key(open_part(caller.folder, "node")["tls"], password=None)
        identity = TlsIdentity(
            (caller.folder / "node" / "node.crt").read_bytes(),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        self._charter = charter
        self._channel = grpc.secure_channel(
            f"127.0.0.1:{target.port}",
            channel_credentials(charter.member(target.id).ca, identity),
            options=[
                *channel_options(charter.federation, target.id, answer_bytes=PEER_ANSWER_BYTES),
                ("grpc.use_local_subchannel_pool", 1),  # else two lines to one node are one connection
            ],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def evaluate_partial(
        self, key_class: int, epoch: int, seat: int, quorum: Sequence[int], blinded: Sequence[Element]
    ) -> SignedPartial:
        """Ask a seat for its part. Raises Refused."""
        committee_hash = self._charter.class_key(key_class, epoch).committee_hash
        request = evaluation_pb2.EvaluatePartialRequest(
            key_class=key_class,
            key_epoch=epoch,
            committee_hash=committee_hash,
            quorum=quorum,
            seat=seat,
            blinded_elements=blinded,
        )
        stub = evaluation_pb2_grpc.EvaluationServiceStub(self._channel)
        try:
            answer = stub.EvaluatePartial(request, timeout=30, wait_for_ready=True).partial
        except grpc.RpcError as error:
            raise _refusal(error) from None
        return SignedPartial(
            answer.seat,
            answer.evaluator,
            tuple(answer.quorum),
            PartialEvaluation(tuple(decode_elements(answer.evaluated_elements)), Proof(answer.proof)),
            answer.budget_left,
            answer.time,
            answer.signature,
        )

    def proven_entry(self, writer: bytes, index: int) -> log_pb2.GetProvenEntriesResponse:
        """Read an entry of a log with its proof. Raises Refused."""
        location = entry_pb2.EntryLocation(writer=writer, index=index)
        stub = log_pb2_grpc.LogServiceStub(self._channel)
        try:
            return stub.GetProvenEntries(log_pb2.GetProvenEntriesRequest(locations=[location]), timeout=30)
        except grpc.RpcError as error:
            raise _refusal(error) from None


def _refusal(error: grpc.RpcError) -> Refused:
    reason = _reason(error)
    return BudgetUsedUp() if reason == "BUDGET_EXHAUSTED" else Refused(reason)


def _reason(error: grpc.RpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # every RpcError of a call is its Call
    for detail in status.details if status is not None else ():
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            return str(info.reason)
    return str(error.code().name)
