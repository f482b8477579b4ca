"""The client's address, out of what proxies write."""

from __future__ import annotations

import pytest

from tocsin.ingest.addresses import client_address


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("9.9.9.9", "9.9.9.9"),
        (" 9.9.9.9 ", "9.9.9.9"),
        ("9.9.9.9:51234", "9.9.9.9"),
        ("::ffff:9.9.9.9", "9.9.9.9"),
        ("[::ffff:9.9.9.9]:443", "9.9.9.9"),
        ("[2606:4700::1111]:443", "2606:4700::1111"),
        ("fe80::1%eth0", "fe80::1"),
        ('for="[2606:4700::1111]:4711";proto=https', "2606:4700::1111"),
        ("1.1.1.1, 9.9.9.9, 10.0.0.2", "9.9.9.9"),  # not the left-most, which the client wrote
        ("for=1.1.1.1, for=9.9.9.9;by=10.0.0.2", "9.9.9.9"),
        ("10.1.1.1, 10.0.0.2", None),
        ("10.0.0.2", "10.0.0.2"),  # refused by its own rule, and counted
        ("nonsense", "nonsense"),
        (",", None),
        ('["9.9.9.9", "10.0.0.2"]', "9.9.9.9"),  # a header as a log prints its values
        ("['2606:4700::1111']", "2606:4700::1111"),
        ("ipv4:9.9.9.9:443", "9.9.9.9"),  # gRPC's peer
        ("ipv6:[2606:4700::1111]:443", "2606:4700::1111"),
        ("/9.9.9.9:443", "9.9.9.9"),  # Java's
        ("unknown", None),
        ("for=unknown, for=_hidden, for=9.9.9.9", "9.9.9.9"),
        ("[::ffff:9.9.9.9%eth0]:443", "9.9.9.9"),
    ],
)
def test_the_address_without_a_stated_number_of_proxies(header: str, address: str | None) -> None:
    assert client_address(header) == address


def test_a_stated_number_of_proxies_counts_from_the_right() -> None:
    header = "6.6.6.6, 1.1.1.1, 9.9.9.9"
    assert [client_address(header, hops) for hops in (1, 2, 3, 4)] == ["9.9.9.9", "1.1.1.1", "6.6.6.6", None]
    assert client_address("9.9.9.9, unknown", 1) is None
    assert client_address("9.9.9.9", 1) == "9.9.9.9"
    assert client_address("9.9.9.9", 2) is None
