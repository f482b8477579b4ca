"""Each format on exchanges that its own project produced; samples/README.md says which and how."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from tocsin.ingest.exchange import UNDATED, BadExchange, Exchange
from tocsin.ingest.formats import FORMATS, BadFieldMap, detect_format, read_field_map

SAMPLES = Path(__file__).parent / "samples"
SYSTEM, TURN, LATER = "You are a helpful bot", "What is the weather in Paris?", "And tomorrow?"


def documents(name: str) -> list[Any]:
    text = (SAMPLES / name).read_text()
    if not name.endswith(".json"):
        return [json.loads(line) for line in text.splitlines()]
    whole = json.loads(text)
    return whole if isinstance(whole, list) else [whole]


def exchanges(format: str, name: str, item: int = 0) -> list[Exchange]:
    return list(FORMATS[format](documents(name)[item]))


def refusal(format: str, document: Any) -> BadExchange:
    with pytest.raises(BadExchange) as caught:
        list(FORMATS[format](document))
    return caught.value


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("litellm.jsonl", "litellm"),
        ("otlp_span_only.jsonl", "otlp"),
        ("otlp_event_only.jsonl", "otlp"),
        ("openinference.jsonl", "otlp"),
        ("langfuse_observations.json", "langfuse"),
        ("langfuse_blob.jsonl", "langfuse"),
        ("langfuse_blob_legacy.jsonl", "langfuse"),
        ("langfuse_traces_page.json", "langfuse"),
        ("langfuse_session.json", "langfuse"),
        ("langfuse_ui_traces.jsonl", "langfuse"),
        ("openai_batch.jsonl", "openai-batch"),
        ("anthropic_batch.jsonl", "anthropic-batch"),
    ],
)
def test_every_sample_is_recognised(name: str, format: str) -> None:
    assert {detect_format(document) for document in documents(name)} == {format}


def test_other_documents_are_not_recognised() -> None:
    with pytest.raises(BadExchange, match="field map"):
        detect_format({"prompt": "a secret"})
    with pytest.raises(BadExchange, match="not a JSON object"):
        detect_format("a secret")


def test_litellm() -> None:
    (exchange,) = exchanges("litellm", "litellm.jsonl")
    assert (exchange.account, exchange.conversation) == ("acct-42", "session-7")
    assert exchange.time == documents("litellm.jsonl")[0]["startTime"]
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)
    assert (exchange.address, exchange.user_agent) == ("203.0.113.7", "openai-python/3.57.0")
    assert exchange.ja4 == "t13d1516h2_8daaf6152771_02713d6af862"
    assert json.loads(exchange.tools or "")[0]["function"]["name"] == "get_weather"
    assert exchange.parameters == '{"max_tokens":200,"temperature":0.2}'


def test_a_trace_id_that_litellm_made_up_is_no_conversation() -> None:
    (exchange,) = exchanges("litellm", "litellm.jsonl", 1)
    assert documents("litellm.jsonl")[1]["trace_id"]
    assert exchange.conversation == ""


def test_litellm_session_id_before_trace_id() -> None:
    document = documents("litellm.jsonl")[0] | {"session_id": "thread-1"}
    assert next(FORMATS["litellm"](document)).conversation == "thread-1"
    document = documents("litellm.jsonl")[0] | {"trace_id": "call-1", "litellm_call_id": "call-1"}
    assert next(FORMATS["litellm"](document)).conversation == ""


def test_litellm_end_user_where_the_key_has_no_user() -> None:
    assert exchanges("litellm", "litellm.jsonl", 2)[0].account == "end-9"


def test_the_master_keys_user_is_nobody() -> None:
    document = documents("litellm.jsonl")[0]
    document["metadata"]["user_api_key_user_id"] = "default_user_id"
    assert "names an account" in refusal("litellm", document).rule


def test_litellm_without_content() -> None:
    (exchange,) = exchanges("litellm", "litellm.jsonl", 3)
    assert not exchange.has_content
    assert exchange.account == "acct-42"


def test_anthropic_system_prompt_beside_the_messages() -> None:
    document = documents("litellm.jsonl")[0]
    document["messages"] = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}]
    document["model_parameters"]["system"] = [{"type": "text", "text": "Be kind."}]
    (exchange,) = FORMATS["litellm"](document)
    assert (exchange.system, exchange.first_user_turn) == ("Be kind.", "a")


@pytest.mark.parametrize("format", ["otlp", "openinference"])
@pytest.mark.parametrize(
    "name",
    ["otlp_span_only.jsonl", "otlp_event_only.jsonl", "otlp_legacy_events.jsonl", "openinference.jsonl"],
)
def test_otlp_of_instrumentations(format: str, name: str) -> None:
    (exchange,) = exchanges(format, name)
    assert (exchange.account, exchange.conversation) == ("acct-42", "conv-7")
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)
    assert 1.7e9 < exchange.time < 1.9e9


@pytest.mark.parametrize("name", ["otlp_text.jsonl", "otlp_structured.jsonl", "otlp_details_event.jsonl"])
def test_otlp_messages_as_text_structured_and_in_a_span_event(name: str) -> None:
    (exchange,) = exchanges("otlp", name)
    assert exchange.system == (
        "You are a language translator.\nYour mission is to translate text in English to French."
    )
    assert exchange.first_user_turn == "Weather in Paris?"
    assert exchange.address == "203.0.113.7"
    assert exchange.parameters == '{"temperature":0.5}'
    if name != "otlp_details_event.jsonl":
        assert json.loads(exchange.tools or "")[0]["name"] == "get_current_weather"


@pytest.mark.parametrize("name", ["otlp_prompt.jsonl", "otlp_prompt_event.jsonl"])
def test_otlp_deprecated_prompt(name: str) -> None:
    assert exchanges("otlp", name)[0].first_user_turn == "What is the capital of France?"


def test_otlp_flattened_prompt() -> None:
    document = documents("otlp_prompt.jsonl")[0]
    attributes = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    attributes[:] = [item for item in attributes if item["key"] != "gen_ai.prompt"] + [
        {"key": f"gen_ai.prompt.{number}.{name}", "value": {"stringValue": value}}
        for number, pair in enumerate([("system", "Be kind."), ("user", "Hi"), ("user", "later")])
        for name, value in zip(("role", "content"), pair, strict=True)
    ]
    (exchange,) = FORMATS["otlp"](document)
    assert (exchange.system, exchange.first_user_turn) == ("Be kind.", "Hi")


def test_openinference_tools_and_parameters() -> None:
    (exchange,) = exchanges("openinference", "openinference.jsonl")
    assert json.loads(exchange.tools or "")[0]["function"]["name"] == "get_weather"
    assert exchange.parameters == '{"max_tokens":200,"temperature":0.2}'


def test_otlp_without_content() -> None:
    assert [exchange.has_content for exchange in exchanges("otlp", "otlp_no_content.jsonl")] == [False]


def test_otlp_without_an_account_is_refused_and_the_others_go_on() -> None:
    document = documents("otlp_event_only_no_account.jsonl")[0]
    assert "user.id" in refusal("otlp", document).rule
    document["resourceSpans"] = documents("otlp_text.jsonl")[0]["resourceSpans"]
    reader = FORMATS["otlp"](document)
    assert next(reader).account == "acct-42"
    with pytest.raises(BadExchange):
        next(reader)


def test_a_span_and_its_log_record_are_one_exchange() -> None:
    document = documents("otlp_event_only_no_account.jsonl")[0]
    spans = documents("otlp_no_content.jsonl")[0]["resourceSpans"]
    entry = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    spans[0]["scopeSpans"][0]["spans"][0] |= {"traceId": entry["traceId"], "spanId": entry["spanId"]}
    (exchange,) = FORMATS["otlp"](document | {"resourceSpans": spans})
    assert (exchange.account, exchange.address) == ("acct-42", "203.0.113.7")
    assert exchange.first_user_turn == TURN


def test_spans_that_are_no_exchange_are_passed_over() -> None:
    document = documents("otlp_span_only.jsonl")[0]
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"] = [{"key": "http.request.method", "value": {"stringValue": "POST"}}]
    assert list(FORMATS["otlp"](document)) == []


def test_langfuse_observations() -> None:
    first, span, sessionless, empty, nobody = documents("langfuse_observations.json")
    (exchange,) = FORMATS["langfuse"](first)
    assert (exchange.account, exchange.conversation, exchange.time) == ("acct-42", "conv-7", 1772447400.123)
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)
    assert (exchange.address, exchange.user_agent) == ("203.0.113.7", "openai-python/3.57.0")
    assert json.loads(exchange.tools or "")[0]["function"]["name"] == "get_weather"
    assert exchange.parameters == '{"max_tokens":200,"temperature":0.2}'
    assert list(FORMATS["langfuse"](span)) == []
    assert next(FORMATS["langfuse"](sessionless)).conversation == ""
    assert not next(FORMATS["langfuse"](empty)).has_content
    assert "names no user" in refusal("langfuse", nobody).rule


def test_langfuse_blob_storage_export() -> None:
    (exchange,) = exchanges("langfuse", "langfuse_blob.jsonl")
    assert (exchange.account, exchange.time, exchange.first_user_turn) == ("acct-42", 1716990379.963, TURN)
    assert json.loads(exchange.tools or "")[0]["name"] == "get_weather"
    (trace,) = exchanges("langfuse", "langfuse_blob.jsonl", 1)
    assert (trace.account, trace.conversation, trace.first_user_turn) == ("acct-43", "", "Tell me a joke")


def test_a_langfuse_trace_with_its_observations() -> None:
    observation = documents("langfuse_observations.json")[4]  # names no user; its trace does
    del observation["sessionId"]
    trace = {"id": "trace-1", "timestamp": "2026-03-02T10:30:00Z", "userId": "acct-50", "sessionId": "s"}
    for document in (
        trace | {"observations": [observation]},
        {"trace": trace, "observations": [observation]},
    ):
        (exchange,) = FORMATS["langfuse"](document)
        assert (exchange.account, exchange.conversation, exchange.first_user_turn) == ("acct-50", "s", TURN)


def test_openai_batch() -> None:
    chat, image, response, nobody, embedding = documents("openai_batch.jsonl")
    (exchange,) = FORMATS["openai-batch"](chat)
    assert (exchange.account, exchange.time) == ("acct-42", UNDATED)
    assert (exchange.system, exchange.first_user_turn) == ("You are a helpful assistant.", "Hello world!")
    (exchange,) = FORMATS["openai-batch"](image)
    assert (exchange.account, exchange.first_user_turn) == ("acct-43", "What is this?")
    (exchange,) = FORMATS["openai-batch"](response)
    assert (exchange.account, exchange.conversation) == ("acct-44", "conv_1")
    assert (exchange.system, exchange.first_user_turn) == ("Be brief.", "Hello again")
    assert "names an account" in refusal("openai-batch", nobody).rule
    assert list(FORMATS["openai-batch"](embedding)) == []


def test_anthropic_batch() -> None:
    first, second, nobody = documents("anthropic_batch.jsonl")
    (exchange,) = FORMATS["anthropic-batch"](first)
    assert (exchange.account, exchange.system, exchange.first_user_turn) == (
        "acct-42",
        "Be kind.",
        "Hello, world",
    )
    assert json.loads(exchange.tools or "")[0]["name"] == "get_weather"
    (exchange,) = FORMATS["anthropic-batch"](second)
    assert (exchange.account, exchange.first_user_turn) == ("acct-43", "Hi again, friend")
    assert "names an account" in refusal("anthropic-batch", nobody).rule
    body = json.loads((SAMPLES / "anthropic_batch_body.json").read_text())
    assert refusal("anthropic-batch", body).count == 1
    assert len(list(FORMATS["anthropic-batch"](body | {"user_profile_id": "acct-60"}))) == 3


MAP = """
account = "user.id"
time = "at"
time_unit = "ms"
conversation = ["thread.id"]
messages = "request.messages"
tools = "request.tools"
address = "hops.0"
parameters = "request"
"""


def test_a_field_map(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(MAP)
    convert = pickle.loads(pickle.dumps(read_field_map(path)))
    request = {"messages": [{"role": "user", "content": "Hi"}], "tools": [{"name": "t"}], "temperature": 1}
    document = {"user": {"id": 7}, "at": 1.5e12, "thread.id": "c", "hops": ["203.0.113.7"]}
    for form in (request, json.dumps(request)):
        (exchange,) = convert(document | {"request": form})
        assert (exchange.account, exchange.time, exchange.conversation) == ("7", 1.5e9, "c")
        assert (exchange.first_user_turn, exchange.tools) == ("Hi", '[{"name":"t"}]')
        assert (exchange.address, exchange.parameters) == ("203.0.113.7", '{"temperature":1}')
    with pytest.raises(BadExchange, match=r"user\.id names no account"):
        list(convert({"at": 1}))
    with pytest.raises(BadExchange, match="at is neither"):
        list(convert({"user": {"id": "a"}, "at": "yesterday"}))
    with pytest.raises(BadExchange, match="there is no at, which holds the time"):
        list(convert({"user": {"id": "a"}, "att": 1.5e12}))


@pytest.mark.parametrize(
    ("unit", "time", "looks"),
    [
        ("s", 1.7e12, 'milliseconds: say time_unit = "ms" in'),
        ("s", 1_700_000_000_000, "milliseconds"),
        ("s", 1.7e15, "microseconds"),
        ("ms", 1.7e15, "microseconds"),
        ("s", 1.7e18, "nanoseconds"),
        ("us", 1.7e18, "nanoseconds"),
    ],
)
def test_a_time_of_another_unit_is_told(tmp_path: Path, unit: str, time: float, looks: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(f'account = "a"\ntime = "att"\ntime_unit = "{unit}"')
    convert = read_field_map(path)
    rule = f"att is neither unix seconds nor an ISO 8601 time; it looks like {looks}"
    with pytest.raises(BadExchange, match=rule):
        list(convert({"a": "x", "att": time}))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('account = "a"', "time is required"),
        ('account = "a"\ntime = "t"\ncolour = "c"', "colour is no field"),
        ('account = "a"\ntime = 3', "time must be a path"),
        ('account = "a"\ntime = "t"\ntime_unit = "h"', "time_unit must be"),
        ("account = ", "is not TOML"),
        (None, "cannot be read"),
    ],
)
def test_a_field_map_that_cannot_be_used(tmp_path: Path, text: str | None, rule: str) -> None:
    path = tmp_path / "map.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadFieldMap, match=rule):
        read_field_map(path)


def test_the_repr_shows_nothing_that_a_user_typed() -> None:
    (exchange,) = exchanges("litellm", "litellm.jsonl")
    for hidden in (TURN, SYSTEM, "session-7", "203.0.113.7", "openai-python", "get_weather", "t13d"):
        assert hidden not in repr(exchange)


def test_the_history_is_not_read() -> None:
    for name, format in (("litellm.jsonl", "litellm"), ("openinference.jsonl", "otlp")):
        (exchange,) = exchanges(format, name)
        assert LATER in (SAMPLES / name).read_text()
        others = set(exchange.__slots__) - {"last_user_turn"}
        assert all(LATER not in str(getattr(exchange, field)) for field in others)


def test_what_is_nested_without_end_is_no_conversation() -> None:
    nested: Any = TURN
    for _ in range(5000):
        nested = {"messages": nested}
    document = documents("litellm.jsonl")[0] | {"messages": nested}
    assert not next(FORMATS["litellm"](document)).has_content
    value: Any = {"stringValue": TURN}
    for _ in range(5000):
        value = {"arrayValue": {"values": [value]}}
    document = documents("otlp_prompt.jsonl")[0]
    attributes = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    attributes[-1]["value"] = value
    assert not next(FORMATS["otlp"](document)).has_content
