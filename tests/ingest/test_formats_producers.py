"""What Langfuse gives out, and which attributes name account and conversation in spans and log records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ingest.test_formats import SYSTEM, TURN, documents, exchanges, refusal
from tocsin.ingest.exchange import BadExchange
from tocsin.ingest.formats import FORMATS, detect_format
from tocsin.ingest.formats.spans import ACCOUNT, CONVERSATION

Attributes = list[dict[str, Any]]


def spans(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [span for scope in document["resourceSpans"][0]["scopeSpans"] for span in scope["spans"]]


def without(attributes: Attributes, *names: str) -> Attributes:
    return [item for item in attributes if item["key"] not in names]


def named(**attributes: str) -> Attributes:
    return [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]


def test_a_page_of_langfuse_traces() -> None:
    (page,) = documents("langfuse_traces_page.json")
    reader = FORMATS["langfuse"](page)
    exchange = next(reader)
    assert (exchange.account, exchange.conversation, exchange.time) == ("acct-42", "conv-7", 1772447400.123)
    assert (exchange.system, exchange.first_user_turn, exchange.address) == (SYSTEM, TURN, "203.0.113.7")
    with pytest.raises(BadExchange, match="the trace names no user") as caught:
        next(reader)
    assert caught.value.count == 1


def test_a_page_of_langfuse_observations() -> None:
    observations = documents("langfuse_observations.json")
    reader = FORMATS["langfuse"]({"data": [*observations, 3, None], "meta": {"cursor": "bmV4dA=="}})
    assert [next(reader).has_content for _ in range(3)] == [True, True, False]
    with pytest.raises(BadExchange) as caught:
        next(reader)
    assert caught.value.count == 3
    assert list(FORMATS["langfuse"]({"data": [], "meta": {}})) == []


def test_a_langfuse_session_is_the_conversation_of_its_traces() -> None:
    (session,) = documents("langfuse_session.json")
    first, second = FORMATS["langfuse"](session)
    assert (first.account, first.conversation, first.first_user_turn) == ("acct-42", "conv-7", TURN)
    assert (second.conversation, second.first_user_turn) == ("conv-7", "Tell me a joke")
    # The download of the web interface has neither session ids nor inputs in the traces.
    for trace in session["traces"]:
        del trace["sessionId"], trace["input"]
    assert [(exchange.conversation, exchange.has_content) for exchange in FORMATS["langfuse"](session)] == [
        ("conv-7", False)
    ] * 2
    assert detect_format(session) == "langfuse"
    session["traces"] = ["trace-1"]
    assert refusal("langfuse", session).rule == "not a JSON object"


def test_the_langfuse_table_of_traces() -> None:
    (exchange,) = exchanges("langfuse", "langfuse_ui_traces.jsonl")
    assert (exchange.account, exchange.conversation, exchange.time) == ("acct-42", "conv-7", 1772447400.123)
    assert (exchange.system, exchange.first_user_turn, exchange.address) == (SYSTEM, TURN, "203.0.113.7")
    nobody = documents("langfuse_ui_traces.jsonl")[1]
    assert refusal("langfuse", nobody).rule == "the trace names no user"


def test_the_deprecated_langfuse_export() -> None:
    observation, score = documents("langfuse_blob_legacy.jsonl")
    assert "enriched observations" in refusal("langfuse", observation).rule
    assert list(FORMATS["langfuse"](score)) == []


def test_a_langfuse_score_of_the_api_is_passed_over() -> None:
    score = {
        "id": "s",
        "traceId": "t",
        "timestamp": "2026-03-02T10:30:00Z",
        "value": 1,
        "dataType": "NUMERIC",
    }
    assert list(FORMATS["langfuse"](score)) == []


def test_spans_of_litellm() -> None:
    (exchange,) = exchanges("otlp", "otlp_litellm.jsonl")
    assert (exchange.account, exchange.conversation) == ("acct-42", "")
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)
    assert (exchange.address, exchange.user_agent) == ("203.0.113.7", "openai-python/3.57.0")
    (tool,) = json.loads(exchange.tools or "")
    assert (tool["name"], tool["parameters"]["required"]) == ("get_weather", ["city"])
    assert exchange.parameters == '{"max_tokens":200,"temperature":0.2}'


def test_spans_of_litellms_second_integration() -> None:
    names = [span["name"] for span in spans(documents("otlp_litellm_v2.jsonl")[0])]
    assert names == ["redis", "chat gpt-4o-mini"]
    # The first names model and account as well, for LiteLLM puts them on every span of a request.
    (exchange,) = exchanges("otlp", "otlp_litellm_v2.jsonl")
    assert (exchange.account, exchange.conversation, exchange.address) == ("acct-42", "conv-7", "203.0.113.7")
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)
    assert json.loads(exchange.tools or "")[0]["name"] == "get_weather"


def test_spans_of_openllmetry() -> None:
    (exchange,) = exchanges("otlp", "otlp_openllmetry.jsonl")
    assert (exchange.account, exchange.conversation) == ("acct-42", "conv-7")
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)
    assert json.loads(exchange.tools or "")[0]["name"] == "get_weather"


def test_spans_of_langfuses_own_sdk() -> None:
    assert [span["name"] for span in spans(documents("otlp_langfuse.jsonl")[0])] == ["chat", "request"]
    (exchange,) = exchanges("otlp", "otlp_langfuse.jsonl")
    assert (exchange.account, exchange.conversation) == ("acct-42", "conv-7")
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)
    assert exchange.parameters == '{"max_tokens":200,"temperature":0.2}'


@pytest.mark.parametrize("place", range(len(ACCOUNT)))
def test_accounts_in_order_of_preference(place: int) -> None:
    document = documents("otlp_text.jsonl")[0]
    (span,) = spans(document)
    span["attributes"] = without(span["attributes"], "user.id") + named(
        **{name: f"account {name}" for name in reversed(ACCOUNT[place:])}
    )
    (exchange,) = FORMATS["otlp"](document)
    assert exchange.account == f"account {ACCOUNT[place]}"


@pytest.mark.parametrize("place", range(len(CONVERSATION)))
def test_conversations_in_order_of_preference(place: int) -> None:
    document = documents("otlp_text.jsonl")[0]
    (span,) = spans(document)
    span["attributes"] = without(span["attributes"], "gen_ai.conversation.id") + named(
        **{name: f"conversation {name}" for name in reversed(CONVERSATION[place:])}
    )
    (exchange,) = FORMATS["otlp"](document)
    assert exchange.conversation == f"conversation {CONVERSATION[place]}"


def test_the_master_key_and_the_hash_of_a_key_are_no_account() -> None:
    document = documents("otlp_litellm.jsonl")[0]
    span = spans(document)[0]
    span["attributes"] = without(span["attributes"], "metadata.user_api_key_user_id", "llm.user") + named(
        **{
            "metadata.user_api_key_user_id": "default_user_id",
            "metadata.user_api_key_hash": "88dc28d0f030c55e",
        }
    )
    assert "have the gateway set user.id on the span" in refusal("otlp", document).rule
    span["attributes"] += named(**{"metadata.user_api_key_end_user_id": "end-9"})
    assert [exchange.account for exchange in FORMATS["otlp"](document)] == ["end-9"]


def test_a_log_record_whose_span_is_on_another_line_is_refused_with_what_is_missing() -> None:
    document = documents("otlp_event_only_no_account.jsonl")[0]
    assert "set user.id on it" in refusal("otlp", document).rule
    entry = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    entry["attributes"] += named(**{"user.id": "acct-42"})
    (exchange,) = FORMATS["otlp"](document)
    assert (exchange.account, exchange.first_user_turn) == ("acct-42", TURN)


def test_a_log_record_and_its_span_of_another_resource_in_one_line() -> None:
    spans_of = documents("otlp_no_content.jsonl")[0]
    logs_of = documents("otlp_event_only_no_account.jsonl")[0]
    entry = logs_of["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    spans(spans_of)[0].update(traceId=entry["traceId"], spanId=entry["spanId"])
    other = {"resource": {"attributes": named(**{"service.name": "other"})}, "scopeSpans": []}
    spans_of["resourceSpans"].insert(0, other)
    (exchange,) = FORMATS["otlp"](spans_of | logs_of)
    assert (exchange.account, exchange.first_user_turn) == ("acct-42", TURN)


def test_a_log_record_that_has_its_name_where_litellm_writes_it() -> None:
    document = documents("otlp_event_only.jsonl")[0]
    entry = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    entry["attributes"] += named(event_name=entry.pop("eventName"))
    (exchange,) = FORMATS["otlp"](document)
    assert (exchange.account, exchange.system, exchange.first_user_turn) == ("acct-42", SYSTEM, TURN)


def test_prompt_events_of_litellm_are_the_messages_of_one_exchange() -> None:
    def entry(role: str, content: str) -> dict[str, Any]:
        body = [
            {"key": "role", "value": {"stringValue": role}},
            {"key": "content", "value": {"stringValue": content}},
        ]
        return {
            "timeUnixNano": "1795590000000000000",
            "traceId": "0" * 31 + "1",
            "spanId": "0" * 15 + "2",
            "body": {"kvlistValue": {"values": body}},
            "attributes": named(
                **{"event_name": "gen_ai.content.prompt", "gen_ai.prompt": content, "user.id": "acct-42"}
            ),
        }

    entries = [
        entry("system", SYSTEM),
        entry("user", TURN),
        entry("assistant", "Rainy."),
        entry("user", "And then?"),
    ]
    (exchange,) = FORMATS["otlp"]({"resourceLogs": [{"scopeLogs": [{"logRecords": entries}]}]})
    assert (exchange.account, exchange.system, exchange.first_user_turn) == ("acct-42", SYSTEM, TURN)


def test_openinference_user_before_the_user_of_the_request() -> None:
    document = documents("openinference.jsonl")[0]
    (span,) = spans(document)
    others = without(span["attributes"], "user.id", "session.id")
    span["attributes"] = others + named(**{"user.id": "acct-50", "session.id": "conv-8"})
    (exchange,) = FORMATS["openinference"](document)
    assert (exchange.account, exchange.conversation) == ("acct-50", "conv-8")
    span["attributes"] = others
    # The client's `user` is in the invocation parameters.
    (exchange,) = FORMATS["openinference"](document)
    assert (exchange.account, exchange.conversation) == ("acct-42", "")
