"""`tocsin types`: the types of values, how each is written, and an example."""

from __future__ import annotations

from tocsin.cli.output import Json, print_json, print_table, wrapped

# What a value looks like, and an example: of documentation ranges and standards, so that it belongs to nobody.
FORMATS: dict[str, tuple[str, str]] = {
    "payment.par": (
        "payment account reference: 29 capital letters and digits",
        "V0010013018036776997406844229",
    ),
    "payment.iban": ("account number, with or without spaces", "GB33 BUKB 2020 1555 5555 55"),
    "payment.wallet": (
        "chain:address; btc, eth (evm), sol or tron",
        "eth:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    ),
    "payment.composite": ("BIN8|last4|YYMM of a card, supporting only", "45399578|0043|2705"),
    "contact.email": ("e-mail address", "someone@example.com"),
    "contact.phone": ("telephone number with + and country code", "+44 7700 900123"),
    "net.ipv4": ("public address", "198.51.100.7"),
    "net.ipv4-24": ("network of 256 addresses", "198.51.100.0/24"),
    "net.ipv6-64": ("network, or an address in it", "2001:db8::/64"),
    "net.ja4": ("JA4 fingerprint of a TLS client", "t13d1516h2_8daaf6152771_e5627efa2ab1"),
    "device.id": ("vendor:identifier; imei, idfa, idfv, gaid or yours", "imei:490154203237518"),
    "org.domain": ("an organisation's domain name", "example.com"),
    "client.tools": ("JSON array of the tools that a client offers", '[{"name": "store_training_pair"}]'),
    "client.system": ("skeleton of a system prompt", "made by `tocsin ingest`"),
    "prompt.template": ("skeleton of a prompt template", "made by `tocsin ingest`"),
}


def types(*, json: Json = False) -> None:
    """List the types of values, how each is written, and an example.

    Example: tocsin types --json

    Exit codes: 0 shown.
    """
    from tocsin.indicators.registry import TYPES

    if json:
        print_json(
            [
                {
                    "type": name,
                    "format": format,
                    "example": example,
                    "retention_days": TYPES[name].retention_days,
                }
                for name, (format, example) in FORMATS.items()
            ]
        )
        return
    print_table(
        "Types of values",
        ("type", "format", "example"),
        [(name, wrapped(format, 32), example) for name, (format, example) in FORMATS.items()],
    )
