"""Oversize messages, compressed bombs, empty elements by the million: refused before curve work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.faults.parties import (
    Wire,
    ask,
    ask_seat,
    charged,
    class_of,
    elements,
    process,
    reset_peak,
    usage,
)
from tests.federation import Federation
from tocsin.indicators.registry import KeyClass
from tocsin.node.rpc.authorize import Role

MIB = 1024 * 1024
GROWTH_MIB = 64
AT_ONCE = 4
CURVE_SECONDS_OF_2_MILLION = 2_000_000 * 4.5e-6
EXHAUSTED, INVALID = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT


def _empty_elements(federation: Federation, count: int) -> bytes:
    """An EvaluateRequest of `count` empty elements: two bytes each on the wire."""
    key = class_of(federation.homes[0], KeyClass.CONTACT)
    return ask(key, []).SerializeToString() + b"\x22\x00" * count


@pytest.mark.parametrize(
    ("payload", "compression", "code"),
    [
        (lambda _: bytes(MIB + 1), grpc.Compression.NoCompression, EXHAUSTED),
        (lambda _: bytes(64 * MIB), grpc.Compression.Gzip, EXHAUSTED),
        (lambda f: _empty_elements(f, 2_000_000), grpc.Compression.NoCompression, EXHAUSTED),
        (lambda f: _empty_elements(f, 2_000_000), grpc.Compression.Gzip, EXHAUSTED),
        (lambda f: _empty_elements(f, 500_000), grpc.Compression.NoCompression, INVALID),
    ],
    ids=["1 MiB and 1", "gzip bomb", "2 million", "2 million gzip", "500,000"],
)
def test_refused_before_any_curve_work_and_without_growing(
    federation: Federation,
    payload: Callable[[Federation], bytes],
    compression: grpc.Compression,
    code: grpc.StatusCode,
) -> None:
    target, other = federation.homes[:2]
    pid = process(federation, target).pid
    data, before = payload(federation), charged(target)
    with (
        Wire(target, Role.CLIENT, target, compression=compression) as own,
        Wire(other, Role.NODE, target, compression=compression) as node,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        calls: list[Any] = [
            own.channel.unary_unary("/tocsin.v1.EvaluationService/Evaluate"),
            node.channel.unary_unary("/tocsin.v1.EvaluationService/EvaluatePartial"),
        ]
        for channel in (own.channel, node.channel):
            grpc.channel_ready_future(channel).result(timeout=10)
        reset_peak(pid)
        start = usage(pid)

        def attack(number: int) -> grpc.StatusCode:
            try:
                calls[number % 2](data, timeout=20)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        codes = set(threads.map(attack, range(AT_ONCE)))
        end = usage(pid)
        # EvaluatePartial's elements have another field number, so its own refusal may come first.
        assert codes <= {code, INVALID}
        assert code in codes
        assert end.peak_mib - start.peak_mib < GROWTH_MIB
        assert end.cpu_seconds - start.cpu_seconds < CURVE_SECONDS_OF_2_MILLION / 2
        assert charged(target) == before
        key = class_of(target, KeyClass.CONTACT)
        assert own.evaluation.Evaluate(ask(key, elements(3)), timeout=10).partials


def test_a_node_asks_for_empty_elements_in_vain(federation: Federation) -> None:
    target, other = federation.homes[:2]
    before = charged(target)
    key = class_of(target, KeyClass.CONTACT)
    with Wire(other, Role.NODE, target) as node, pytest.raises(grpc.RpcError) as caught:
        node.evaluation.EvaluatePartial(ask_seat(key, [b""] * 500_000), timeout=20)
    assert caught.value.code() is INVALID
    assert charged(target) == before
