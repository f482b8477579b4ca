"""MembershipService: charters and a node's status. The rules are those of `tocsin.wire.codec`."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.v1 import membership_pb2 as pb
from tocsin.wire.codec import fields
from tocsin.wire.limits import MAX_CHARTERS, MAX_LOGS
from tocsin.wire.values import LogStatus, NodeStatus


def parse_first_version(message: pb.ListChartersRequest) -> int:
    """Parse the version from which charters are asked. Raises `Malformed`."""
    return fields.parse_index(message.first_version, "first_version")


def build_first_version(version: int) -> pb.ListChartersRequest:
    """Build the request for charters from a version on."""
    return pb.ListChartersRequest(first_version=version)


def parse_charters(message: pb.ListChartersResponse) -> list[bytes]:
    """Parse signed charters, 16 at most; the envelopes stay as they came. Raises `Malformed`."""
    return list(fields.at_most(message.charters, MAX_CHARTERS, "charters"))


def build_charters(charters: Iterable[bytes]) -> pb.ListChartersResponse:
    """Build a page of signed charters."""
    return pb.ListChartersResponse(charters=charters)


def parse_status(message: pb.GetStatusResponse) -> NodeStatus:
    """Parse a node's status. Raises `Malformed`."""
    return NodeStatus(
        fields.parse_member(message.member, "member"),
        message.software_version,
        message.charter_version,
        message.waiting,
        tuple(
            LogStatus(
                fields.parse_member(log.writer, f"logs[{index}].writer"),
                log.size,
                log.checkpoint_time,
                log.last_reached,
                log.quarantined,
                log.problem,
                log.holds,
            )
            for index, log in enumerate(fields.at_most(message.logs, MAX_LOGS, "logs"))
        ),
    )


def build_status(status: NodeStatus) -> pb.GetStatusResponse:
    """Build a node's status."""
    return pb.GetStatusResponse(
        member=status.member,
        software_version=status.software_version,
        charter_version=status.charter_version,
        waiting=status.waiting,
        logs=[
            pb.LogStatus(
                writer=log.writer,
                size=log.size,
                checkpoint_time=log.checkpoint_time,
                last_reached=log.last_reached,
                quarantined=log.quarantined,
                problem=log.problem,
                holds=log.holds,
            )
            for log in status.logs
        ],
    )
