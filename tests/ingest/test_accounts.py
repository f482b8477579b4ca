"""Who an exchange belongs to."""

from __future__ import annotations

import json

import pytest

from tocsin.ingest.accounts import Named, account_among, named_account
from tocsin.ingest.exchange import BadExchange

DEVICE = "7f3c" * 16


@pytest.mark.parametrize(
    "name",
    [
        "anonymous",
        "Anonymous",
        "undefined",
        "None",
        "null",
        "NULL",
        "nil",
        "default_user_id",
        "unknown",
        "N/A",
        "-",
        " ",
        "anonymousUser",
        "guest",
        "{{user_id}}",
        "${USER}",
        "[object Object]",
        "'None'",
        "<user>",
        "user:undefined",
        "null:null",
        "Anonymous User",
        "end-user",
        "YOUR_USER_ID",
        "not provided",
        "(not set)",
        "__none__",
        "$user_id",
        "匿名",
        "anônimo",
        "False",
        "litellm-proxy-budget",
        "litellm-proxy",
        "nobody",
        "#N/A",
        "\\N",
        "???",
        "undefined@undefined",
        "0000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "x" * 12,
        "гость",
        "ゲスト",
        "Invité",
    ],
)
def test_a_placeholder_names_nobody(name: str) -> None:
    assert named_account(name) is None
    assert named_account(name, "acct-1") == Named("acct-1")
    with pytest.raises(BadExchange, match="it names none: only a placeholder"):
        account_among((name,), "it names none")


@pytest.mark.parametrize(
    "name",
    [
        "anon-4711",
        "nobody@harbour.org",
        "user-8",
        "00",
        "nullable",
        "guest-42",
        "set",
        "id",
        7,
        "0x00ff",
        "user@harbour.org",
    ],
)
def test_what_only_looks_like_one_is_an_account(name: str | int) -> None:
    assert named_account(name) == Named(str(name))


@pytest.mark.parametrize("account", ["", "0f8fad5b-d9cb-469f-a165-70867728950e"])
def test_claude_codes_user_id_is_an_account_a_device_and_a_session(account: str) -> None:
    for session in ("s-1", "s-2"):
        want = Named(account or DEVICE, session, f"claude-code:{DEVICE}")
        given = {"device_id": DEVICE, "account_uuid": account, "session_id": session}
        assert named_account(json.dumps(given)) == named_account(given) == want
        assert named_account(f"user_{DEVICE}_account_{account}_session_{session}") == want


@pytest.mark.parametrize(
    "given",
    [
        {"deviceId": DEVICE, "accountUuid": "acct-9", "sessionId": "s"},
        {"device_id": DEVICE, "user_id": "acct-9", "session_id": "s", "account_uuid": None},
    ],
)
def test_the_same_json_with_other_names_or_wrapped_once_more(given: dict[str, str]) -> None:
    text = json.dumps(given)
    for written in (given, text, f" {text}", json.dumps(text)):
        assert named_account(written) == Named("acct-9", "s", f"claude-code:{DEVICE}")


def test_without_account_and_device_it_names_nobody() -> None:
    assert named_account('{"device_id": "", "account_uuid": "", "session_id": "s"}') is None
    assert named_account('{"a": 1}') == Named('{"a": 1}')
