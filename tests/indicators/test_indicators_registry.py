"""What the registry says of the types, and what its door lets out."""

import copy
import pickle
import subprocess
import sys

import pytest

from tocsin.indicators.registry import TYPES, KeyClass, Mode, Observable, Refused, UnknownType, observable
from tocsin.indicators.snapshot_files import CURRENT, SNAPSHOT_NAMES, UnknownSnapshots, named


def test_numbers_and_labels_of_classes() -> None:
    assert [(c.value, c.label) for c in KeyClass] == [
        (1, "payment"),
        (2, "payment-weak"),
        (3, "contact"),
        (4, "phone"),
        (5, "ipv4"),
        (6, "ipv4-24"),
        (7, "ipv6"),
        (8, "device"),
        (9, "content"),
        (10, "content-band"),
    ]


def test_classes_of_types() -> None:
    assert {name: item.key_class.label for name, item in TYPES.items()} == {
        "payment.par": "payment",
        "payment.iban": "payment",
        "payment.wallet": "payment",
        "payment.composite": "payment-weak",
        "contact.email": "contact",
        "contact.phone": "phone",
        "net.ipv4": "ipv4",
        "net.ipv4-24": "ipv4-24",
        "net.ipv6-64": "ipv6",
        "net.ja4": "device",
        "device.id": "device",
        "org.domain": "contact",
        "client.tools": "content",
        "client.system": "content",
        "prompt.template": "content",
        "prompt.template-band": "content-band",
        "prompt.template-short-band": "content-band",
        "client.system-band": "content-band",
    }


def test_what_may_stand_alone_has_a_large_space() -> None:
    alone = {name for name, item in TYPES.items() if item.alone}
    assert alone == {"payment.par", "payment.wallet", "client.tools", "client.system", "prompt.template"}


def test_retention_rounded_up_to_a_week_stays_within_sixty_days() -> None:
    for type in TYPES.values():
        assert 1 <= type.retention_days <= 60 - 6
    assert TYPES["net.ipv4"].retention_days == 7
    assert TYPES["contact.phone"].retention_days < TYPES["contact.email"].retention_days


def test_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TYPES["net.ipv4"] = TYPES["net.ja4"]  # type: ignore[index]  # that it is refused is the test


@pytest.mark.parametrize(
    "type", ["", "client.prompt", "prompt.template-bands", "document.passport", "payment.pan", "text"]
)
def test_unknown_types_are_refused(type: str) -> None:
    with pytest.raises(UnknownType) as caught:
        observable(type, "value-of-it")
    assert caught.value.rule == "type.unknown"
    assert "contact.email" in str(caught.value)


def test_a_value_in_the_place_of_the_type_is_not_repeated() -> None:
    with pytest.raises(UnknownType) as caught:
        observable("jane.doe@company.org", "contact.email")
    assert "jane" not in str(caught.value) + repr(caught.value) + caught.value.type


def test_repr_of_an_observable_hides_its_bytes() -> None:
    shown = repr(observable("contact.email", "jane.doe@company.org"))
    assert shown == "Observable(type='contact.email')"


def test_observables_compare_by_type_and_bytes() -> None:
    one = observable("net.ipv4-24", "8.8.8.8")
    assert one == observable("net.ipv4-24", "8.8.8.0/24")
    assert one != Observable("net.ipv4", one.canonical)
    assert one.key_class is KeyClass.IPV4_24


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("contact.email", "jane..doe@company.org"),
        ("contact.email", "jane@xn--a-secret-label.org"),
        ("net.ipv4", "999.88.77.66"),
        ("net.ipv6-64", "2a00:::12345"),
        ("contact.phone", "+1 999 999 99"),
        ("payment.iban", "GB00NWBK60161331926819"),
        ("client.tools", '[{"name": "secretive", "parameters": {"n": 9007199254740995}}]'),
        ("client.tools", '[{"name": "secretive", "name": "again"}]'),
    ],
)
def test_a_refusal_carries_no_chain_of_library_errors(type: str, value: str) -> None:
    with pytest.raises(Refused) as caught:
        observable(type, value)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    inner = error.__traceback__
    names = []
    while inner is not None:
        names.append(inner.tb_frame.f_code.co_name)
        inner = inner.tb_next
    assert names[1:] == ["observable"]


def test_refusals_survive_pickling_between_processes() -> None:
    for arguments in (("contact.email", "nobody"), ("no.such", "x")):
        with pytest.raises(Refused) as caught:
            observable(*arguments)
        for other in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
            assert type(other) is type(caught.value)
            assert str(other) == str(caught.value)


def test_lengths_are_bounded_before_any_parsing() -> None:
    for name in TYPES:
        with pytest.raises(Refused) as caught:
            observable(name, "1" * 2_000_000)
        assert caught.value.rule == "value.length"


def test_text_only() -> None:
    with pytest.raises(Refused) as caught:
        observable("net.ipv4", b"8.8.8.8")  # type: ignore[arg-type]  # what untyped callers do
    assert caught.value.rule == "value.text"


def test_snapshots_are_those_a_charter_names() -> None:
    assert named(reversed(SNAPSHOT_NAMES)) == CURRENT
    assert len(set(SNAPSHOT_NAMES)) == len(SNAPSHOT_NAMES)
    with pytest.raises(UnknownSnapshots, match="unicode-17"):
        named([*SNAPSHOT_NAMES[1:], "unicode-17.0.0"])
    with pytest.raises(UnknownSnapshots):
        named([])
    assert observable("net.ipv4", "8.8.8.8", mode=Mode.LIVE, snapshots=CURRENT).canonical == bytes([8] * 4)


def test_importing_the_registry_loads_no_heavy_library() -> None:
    heavy = {"phonenumbers", "schwifty", "email_validator", "idna", "publicsuffixlist", "rfc8785", "dns"}
    program = f"import sys, tocsin.indicators.registry; print(sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_resolver_is_never_loaded_by_an_address() -> None:
    program = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise SystemExit('network')\n"
        "socket.socket = socket.getaddrinfo = refuse\n"
        "from tocsin.indicators.registry import observable\n"
        "observable('contact.email', 'jane@company.org'); observable('org.domain', 'www.company.org')\n"
        "print(sorted({'dns.resolver'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
