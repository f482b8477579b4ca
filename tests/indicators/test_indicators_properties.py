"""Properties of every canonical form: idempotent, total, silent about values; and who decides about bytes."""

import hashlib
import json
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.indicators.keccak import keccak256
from tocsin.indicators.registry import TYPES, KeyClass, Mode, Observable, Refused, observable

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "indicators.json").read_text())["vectors"]
VALUES = [v["value"] for v in VECTORS if len(v["value"]) < 1_000]
TEXT_FORMS = [
    name
    for name in TYPES
    if (
        name not in {"payment.wallet", "net.ipv4", "net.ipv4-24", "net.ipv6-64"}
        and TYPES[name].key_class not in {KeyClass.CONTENT, KeyClass.CONTENT_BAND}
    )
    or name == "client.tools"
]  # the others' canonical bytes are no text


def _try(type: str, value: str) -> Observable | Refused:
    try:
        return observable(type, value, mode=Mode.TEST)
    except Refused as refusal:
        return refusal


@pytest.mark.parametrize("type", list(TYPES))
@given(value=st.text(max_size=120) | st.sampled_from(VALUES))
def test_any_text_gives_bytes_or_a_refusal(type: str, value: str) -> None:
    found = _try(type, value)
    if isinstance(found, Observable):
        assert 0 < len(found.canonical) <= 65_535 - 8 - 4 - len(type)
    else:
        assert found.__context__ is None
        assert found.__cause__ is None


_SHAPED = st.sampled_from(
    [
        "{}",
        "{}@company.org",
        "jane@{}.org",
        "+{}",
        "btc:{}",
        "eth:0x{}",
        "acme:{}",
        "{}.co.uk",
        '[{{"name":"{}"}}',
        "GB{}",
    ]
)


@pytest.mark.parametrize("type", list(TYPES))
@given(secret=st.text("bdfgjkqvwxyz013456789BDFGJKQVWXYZé,;()<>\\", min_size=6, max_size=30), shape=_SHAPED)
def test_a_refusal_never_repeats_the_value(type: str, secret: str, shape: str) -> None:
    value = shape.format(secret)
    for found in (_try(type, value), _try(value, type)):
        if isinstance(found, Refused):
            told = f"{found} {found!r} {found.args} {found.type} {found.rule} {found.fix} {vars(found)}"
            assert secret not in told
            assert secret.lower() not in told.lower()


@pytest.mark.parametrize("type", TEXT_FORMS)
def test_canonical_text_of_every_vector_is_its_own_canonical_form(type: str) -> None:
    tried = 0
    for vector in VECTORS:
        if vector["type"] == type and "rule" not in vector:
            first = observable(type, vector["value"], mode=Mode.TEST)
            assert observable(type, first.canonical.decode(), mode=Mode.TEST) == first
            tried += 1
    assert tried


@given(
    local=st.text(min_size=1, max_size=12) | st.text("aB.+-_1ÄßſİΣς９", min_size=1, max_size=12),
    domain=st.sampled_from(
        [
            "gmail.com",
            "pm.me",
            "yahoo.com",
            "ya.ru",
            "x.fastmail.com",
            "Bücher.de",
            "ΟΔΟΣ.gr",
            "company.org",
            "me.com",
        ]
    ),
)
def test_email_is_idempotent(local: str, domain: str) -> None:
    found = _try("contact.email", f"{local}@{domain}")
    if isinstance(found, Observable):
        assert observable("contact.email", found.canonical.decode(), mode=Mode.TEST) == found


@given(label=st.text(min_size=1, max_size=8) | st.text("aß-İΣı９ŁǅⅧ", min_size=1, max_size=8))
def test_domain_is_idempotent_and_ascii(label: str) -> None:
    found = _try("org.domain", f"{label}.company.co.uk")
    if isinstance(found, Observable):
        assert found.canonical.decode("ascii").lower().encode() == found.canonical
        assert observable("org.domain", found.canonical.decode(), mode=Mode.TEST) == found


@given(address=st.ip_addresses(v=4))
def test_ipv4_forms_agree(address: IPv4Address) -> None:
    one, net = _try("net.ipv4", str(address)), _try("net.ipv4-24", str(address))
    if isinstance(one, Refused) or isinstance(net, Refused):
        assert isinstance(one, Refused)
        assert isinstance(net, Refused)
        assert one.rule == net.rule == "ip.special"
    else:
        assert one.canonical == address.packed
        assert net.canonical == address.packed[:3]


@given(address=st.ip_addresses(v=6), low=st.integers(0, 2**64 - 1))
def test_all_addresses_of_a_64_share_one_form(address: IPv6Address, low: int) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | low)
    one, two = _try("net.ipv6-64", str(address)), _try("net.ipv6-64", neighbour.exploded.upper())
    if isinstance(one, Observable):
        assert one == two
        assert one.canonical == address.packed[:8]
    else:
        assert isinstance(two, Refused)


@given(
    st.dictionaries(st.text(max_size=5), st.integers(0, 999) | st.text(max_size=5), max_size=4), st.randoms()
)
def test_order_and_spacing_of_tools_do_not_count(members: dict[str, int | str], shuffle: object) -> None:
    tools = [
        {"parameters": members, "name": name, "function": 0}
        for name in ("harvest_b", "harvest_a", "Ω", "get_weather")
    ]
    reordered = [
        dict(sorted(tool.items(), reverse=True)) for tool in sorted(tools, key=lambda t: str(t["name"]))
    ]
    assert _same(
        _try("client.tools", json.dumps(tools)), _try("client.tools", json.dumps(reordered, indent=3))
    )


def _same(one: Observable | Refused, two: Observable | Refused) -> bool:
    return one == two or (isinstance(one, Refused) and isinstance(two, Refused) and one.rule == two.rule)


def test_large_tools_are_refused_by_size() -> None:
    def tools(length: int) -> str:
        return json.dumps([{"name": "harvest", "description": "x" * length}])

    frame = len('[{"description":"","name":"harvest"}]')
    assert len(observable("client.tools", tools(65_511 - frame)).canonical) == 65_511
    with pytest.raises(Refused) as caught:
        observable("client.tools", tools(65_512 - frame))
    assert caught.value.rule == "tools.size"


def test_phone_bytes_are_the_digits_given_and_never_a_librarys_reading() -> None:
    # libphonenumber would drop the trunk digit by its own tables, which change between releases.
    with pytest.raises(Refused):
        observable("contact.phone", "+44 07911 123456")
    assert observable("contact.phone", "+44 7911 123456").canonical == b"+447911123456"


@given(st.binary(max_size=300))
def test_keccak_differs_from_sha3_only_in_padding(message: bytes) -> None:
    digest = keccak256(message)
    assert len(digest) == 32
    assert digest != hashlib.sha3_256(message).digest()


def test_keccak_known_answers() -> None:
    # Ethereum yellow paper: KEC of nothing, and of the RLP of nothing.
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"\x80").hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
