"""What careless and hostile producers write: no adapter answers it with anything but exchanges and BadExchange."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ingest.test_formats import SAMPLES, SYSTEM, TURN, documents, refusal
from tocsin.ingest.exchange import BadExchange, Exchange
from tocsin.ingest.formats import FORMATS, FieldMap, detect_format, otlp

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
HIDDEN = "redacted-by-litellm"
FIELDS = ("account", "time", "conversation", "system", "tools", "messages", "first_user_turn", "parameters")


def litellm(**changes: Any) -> Exchange:
    (exchange,) = FORMATS["litellm"](documents("litellm.jsonl")[0] | changes)
    return exchange


def batch(**body: Any) -> Exchange:
    (exchange,) = FORMATS["openai-batch"]({"custom_id": "a", "body": {"user": "acct-42"} | body})
    return exchange


def attribute(key: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}


def span(*attributes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    document: dict[str, Any] = documents("otlp_no_content.jsonl")[0]
    inside = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    inside["attributes"] += attributes
    inside |= fields
    return document


def test_of_a_resent_history_the_first_user_turn_is_read() -> None:
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TURN}]
    first = litellm(messages=turns)
    for number in range(3):
        turns += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": f"and {number}?"}]
        later = litellm(messages=turns)
        assert (
            (later.system, later.first_user_turn) == (first.system, first.first_user_turn) == (SYSTEM, TURN)
        )


def test_parts_that_are_no_text_are_left_out() -> None:
    parts = [
        IMAGE,
        {"type": "text", "text": "What is"},
        AUDIO,
        {"type": "input_text", "text": "this?"},
        3,
        None,
    ]
    assert litellm(messages=[{"role": "user", "content": parts}]).first_user_turn == "What is\nthis?"
    assert not litellm(messages=[{"role": "user", "content": [IMAGE, AUDIO]}]).has_content


def test_developer_and_system_messages_are_the_system_prompt() -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": TURN},
        {"role": "developer", "content": "later"},
    ]
    assert litellm(messages=messages).system == "Be kind.\nBe brief."
    assert batch(messages=messages).system == "Be kind.\nBe brief."


@pytest.mark.parametrize(
    "messages",
    [
        HIDDEN,
        [{"role": "user", "content": HIDDEN}],
        [{"role": "user", "content": [{"type": "text", "text": HIDDEN}]}],
        [{"role": "user", "content": [HIDDEN]}],
        [{"role": "system", "content": HIDDEN}, {"role": "user", "content": HIDDEN}],
        json.dumps([{"role": "user", "content": HIDDEN}]),
    ],
)
def test_what_was_redacted_is_no_content(messages: Any) -> None:
    parameters = {"instructions": HIDDEN, "temperature": 0.2}
    exchange = litellm(messages=messages, model_parameters=parameters)
    assert not exchange.has_content
    assert exchange.account == "acct-42"


def test_messages_of_litellm_as_text() -> None:
    assert litellm(messages=TURN).first_user_turn == TURN
    exchange = litellm(
        messages=json.dumps([{"role": "system", "content": SYSTEM}, {"role": "user", "content": TURN}])
    )
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)


def test_calls_of_litellm_that_are_no_conversation_are_passed_over() -> None:
    for call in ("embedding", "aembedding", "amoderation", "image_generation"):
        document = documents("litellm.jsonl")[0] | {"call_type": call, "messages": "a text to embed"}
        assert list(FORMATS["litellm"](document)) == []
    assert litellm(call_type="aresponses").first_user_turn == TURN


FUNCTION = {"name": "get_weather", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "function", "function": FUNCTION}]},
        {"tools": [{"type": "function", **FUNCTION}]},
        {"functions": [FUNCTION]},
        {"tools": [], "functions": [FUNCTION]},
    ],
)
def test_tools_in_each_shape_of_openai(body: dict[str, Any]) -> None:
    given = body.get("tools") or body["functions"]
    assert json.loads(batch(messages=[], **body).tools or "") == given
    assert json.loads(litellm(model_parameters=body).tools or "") == given


def test_requests_of_the_responses_api_and_of_completions() -> None:
    items = [
        {"type": "message", "role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TURN}]},
        {"type": "function_call", "name": "get_weather", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "Rainy."},
    ]
    exchange = batch(input=items, prompt={"id": "pmpt_1"})
    assert (exchange.system, exchange.first_user_turn) == ("Be brief.", TURN)
    assert batch(input=TURN, instructions=SYSTEM).system == SYSTEM
    assert batch(input=TURN).first_user_turn == TURN
    assert batch(prompt=[TURN, "another"]).first_user_turn == TURN
    assert not batch(prompt=[[1, 2], [3]]).has_content


def test_system_blocks_of_anthropic_with_cache_control() -> None:
    cached = {"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}
    document = documents("anthropic_batch.jsonl")[0]
    document["params"]["system"] = [cached, {"type": "text", "text": "Be kind."}]
    document["params"]["messages"] = [
        {"role": "user", "content": [{"type": "image", "source": {}}, {"type": "text", "text": TURN}]}
    ]
    (exchange,) = FORMATS["anthropic-batch"](document)
    assert (exchange.system, exchange.first_user_turn) == (f"{SYSTEM}\nBe kind.", TURN)


def test_texts_among_the_parameters_are_not_kept() -> None:
    given = {"temperature": TURN, "n": [TURN], "top_p": {"a": TURN}, "seed": True, "reasoning_effort": "high"}
    assert litellm(model_parameters=given).parameters == '{"reasoning_effort":"high"}'
    assert litellm(model_parameters={"reasoning_effort": TURN}).parameters is None


@pytest.mark.parametrize("time", ["now", "1.5", None, True, -1, 0, 1e300, float("nan"), float("inf"), [], {}])
def test_times_that_are_none(time: Any) -> None:
    assert "startTime" in refusal("litellm", documents("litellm.jsonl")[0] | {"startTime": time}).rule
    mapped = FieldMap({"account": (("a",),), "time": (("t",),)})
    with pytest.raises(BadExchange, match=r"t is neither|there is no t,"):
        list(mapped({"a": "acct-42", "t": time}))
    document = documents("langfuse_observations.json")[0] | {"startTime": time}
    assert "the start time" in refusal("langfuse", document).rule
    spans = span(startTimeUnixNano=time)
    assert "no time" in refusal("otlp", spans).rule


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_at_the_end_of_the_calendar(time: str) -> None:
    document = documents("langfuse_observations.json")[0] | {"startTime": time}
    assert "the start time" in refusal("langfuse", document).rule


@pytest.mark.parametrize("number", ["--5", "-", "", "1e3", "9" * 400, {}, [5], None, 5.5])
def test_whole_numbers_of_otlp_that_are_none(number: Any) -> None:
    (exchange,) = FORMATS["otlp"](span(attribute("gen_ai.request.top_k", intValue=number)))
    assert "top_k" not in (exchange.parameters or "")


def test_an_account_number_becomes_text() -> None:
    (exchange,) = FORMATS["otlp"](span(attribute("user.id", intValue="7")))
    assert exchange.account == "7"


def test_long_lists_are_read_up_to_the_first_user_turn() -> None:
    messages = [{"role": "assistant", "content": "a"}] * 100_000 + [{"role": "user", "content": TURN}]
    assert litellm(messages=messages).first_user_turn == TURN


def test_tools_nested_beyond_what_json_is_written_to_are_refused() -> None:
    nested: Any = {}
    for _ in range(600):
        nested = {"a": nested}
    assert (
        "JSON"
        in refusal("litellm", documents("litellm.jsonl")[0] | {"model_parameters": {"tools": [nested]}}).rule
    )


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        named = {value["key"]} if isinstance(value.get("key"), str) else set()
        return named | value.keys() | {name for item in value.values() for name in _names(item)}
    return {name for item in value for name in _names(item)} if isinstance(value, list) else set()


WORDS = sorted(
    {
        name
        for path in sorted(SAMPLES.glob("*.json*"))
        for document in documents(path.name)
        for name in _names(document)
    }
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS)
    | st.sampled_from(["user", "GENERATION", "[", "{", '[{"role":"user"}]', "1" * 19, "--1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A sample in which some values are replaced by others."""

    def damage(value: Any) -> Any:
        if draw(st.integers(0, 15)) == 0:
            return draw(JSON)
        if isinstance(value, dict):
            return {name: damage(item) for name, item in value.items()}
        return [damage(item) for item in value] if isinstance(value, list) else value

    name = draw(st.sampled_from(sorted(path.name for path in SAMPLES.glob("*.json*"))))
    return damage(draw(st.sampled_from(documents(name))))


@st.composite
def field_maps(draw: st.DrawFn) -> FieldMap:
    """A map of which every path is made of names that samples have."""
    path = st.lists(st.sampled_from([*WORDS, "0"]), min_size=1, max_size=3).map(tuple)
    return FieldMap({name: draw(path) for name in FIELDS}, draw(st.sampled_from([1.0, 1e3, 1e9])))


def outcome(convert: Callable[[Any], Iterator[Exchange]], document: Any) -> tuple[list[Exchange], str]:
    """The exchanges of a document, and the rule of its BadExchange; any other exception is the test's."""
    found: list[Exchange] = []
    try:
        found.extend(convert(document))
    except BadExchange as error:
        return found, error.rule
    return found, ""


@given(JSON | damaged(), field_maps())
def test_no_document_raises_anything_but_bad_exchange(document: Any, mapped: FieldMap) -> None:
    for convert in (*FORMATS.values(), mapped):
        found, rule = outcome(convert, document)
        assert TURN not in rule
        for exchange in found:
            assert isinstance(exchange, Exchange)
            assert type(exchange.account) is type(exchange.conversation) is str
            assert exchange.account
            assert 0 <= exchange.time < 253_402_300_800
            for name in ("system", "tools", "first_user_turn", "address", "user_agent", "ja4", "parameters"):
                value = getattr(exchange, name)
                assert value is None or (type(value) is str and value), name


@given(JSON | damaged())
def test_a_document_is_of_a_known_format_or_a_bad_exchange(document: Any) -> None:
    try:
        name = detect_format(document)
    except BadExchange:
        return
    assert name in FORMATS


def test_what_a_resource_says_is_not_copied_for_each_of_its_spans() -> None:
    attributes = [{"key": f"k{number}", "value": {"stringValue": "v"}} for number in range(20_000)]
    document = {
        "resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [{}] * 2_000}]}]
    }
    tracemalloc.start()
    try:
        assert list(otlp.read(document)) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


def test_spans_that_are_no_exchange_are_not_held() -> None:
    spans = [{"traceId": "t", "spanId": f"s{number}"} for number in range(50_000)]
    document: dict[str, Any] = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    logged = {
        "traceId": "t",
        "spanId": "s7",
        "eventName": "gen_ai.content.prompt",
        "timeUnixNano": "17000000000",
    }
    entry = {**logged, "attributes": [attribute("user.id", stringValue="acct-42")]}
    for logs, accounts in (
        ({}, []),
        ({"resourceLogs": [{"scopeLogs": [{"logRecords": [entry, {}]}]}]}, ["acct-42"]),
    ):
        tracemalloc.start()
        try:
            assert [exchange.account for exchange in otlp.read(document | logs)] == accounts
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 << 20


def test_of_a_resource_nothing_is_read_but_who_and_where() -> None:
    document = span()
    (group,) = document["resourceSpans"]
    given = {"user.id": "of the resource", "tls.client.ja4": "a ja4", "gen_ai.prompt": TURN}
    group["resource"] = {"attributes": [attribute(key, stringValue=value) for key, value in given.items()]}
    (exchange,) = otlp.read(document)
    assert (exchange.account, exchange.ja4, exchange.first_user_turn) == ("acct-42", "a ja4", None)


def test_texts_of_the_user_behind_one_without_text_are_the_same_turn() -> None:
    begun: list[dict[str, Any]] = [{"role": "user", "content": [IMAGE]}, {"role": "user", "content": ""}]
    later = {"role": "user", "content": TURN}
    assert litellm(messages=[*begun, later]).first_user_turn == TURN
    for between in ({"role": "assistant", "content": "A cat."}, {"role": "tool", "content": "cat"}):
        assert litellm(messages=[*begun, between, later]).first_user_turn is None
    assert litellm(messages=[{"role": "user", "content": HIDDEN}, later]).first_user_turn == TURN
    # An answer of the responses API may be the call of a tool, which has no role.
    call = {"type": "function_call", "call_id": "c", "name": "see", "arguments": "{}"}
    assert batch(input=[begun[0], call, later]).first_user_turn is None
    assert batch(input=[begun[0], later]).first_user_turn == TURN


@pytest.mark.parametrize(("prefix", "infix"), [("gen_ai.prompt.", "."), ("llm.input_messages.", ".message.")])
def test_texts_behind_one_without_text_in_flattened_attributes(prefix: str, infix: str) -> None:
    attributes = [attribute("gen_ai.request.model", stringValue="m"), attribute("user.id", stringValue="a")]
    attributes += [attribute(f"{prefix}{number}{infix}role", stringValue="user") for number in range(3)]
    attributes.append(attribute(f"{prefix}1{infix}content", stringValue=TURN))
    (exchange,) = otlp.read(span(*attributes))
    assert exchange.first_user_turn == TURN


def test_a_line_of_a_batch_does_not_pass_for_another_format() -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "user": "a"}
    assert detect_format({"custom_id": "1", "body": body, "resourceSpans": []}) == "openai-batch"
    assert detect_format({"custom_id": "1", "params": {}, "resourceLogs": []}) == "anthropic-batch"
