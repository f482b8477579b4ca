"""Spans of calls of a model: which count, whose they are, and where their content is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ingest.test_formats import SAMPLES, documents
from tocsin.ingest import input_files, log_reader
from tocsin.ingest.exchange import BadExchange, Exchange
from tocsin.ingest.formats import FORMATS, detect_format
from tocsin.ingest.formats.spans import Span, exchanges_of

TURN, SYSTEM = "Which ferries leave before noon?", "Be kind."
MESSAGES = json.dumps([{"role": "system", "content": SYSTEM}, {"role": "user", "content": TURN}])
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "x", "gen_ai.request.model": "m"}


def span(number: int, attributes: dict[str, Any], parent: int | None = None, kind: Any = None) -> Span:
    above = None if parent is None else ("t", str(parent))
    return Span(("t", str(number)), above, 1.7e9, {"user.id": "a"} | attributes, {}, kind)


def of(*spans: Span) -> list[tuple[str, str | None, str | None]]:
    return [(exchange.account, exchange.system, exchange.first_user_turn) for exchange in exchanges_of(spans)]


@pytest.mark.parametrize(
    "content",
    [
        {"gen_ai.input.messages": MESSAGES},
        {"gen_ai.prompt": MESSAGES},
        {"gen_ai.prompt": json.dumps({"messages": json.loads(MESSAGES)})},
        {"ai.prompt.messages": MESSAGES},
        {"input.value": json.dumps({"messages": json.loads(MESSAGES)}), "openinference.span.kind": "LLM"},
        {"llm.prompts.0.prompt.text": f"System: {SYSTEM}\nHuman: {TURN}"},
        {
            "gcp.vertex.agent.llm_request": json.dumps(
                {"contents": [{"parts": [{"text": TURN}]}], "config": {"system_instruction": SYSTEM}}
            )
        },
        {
            "events": json.dumps(
                [
                    {"event.name": "gen_ai.system.message", "role": "system", "content": SYSTEM},
                    {"role": "user", "content": TURN},
                ]
            )
        },
        {"request_data": json.dumps({"messages": json.loads(MESSAGES)})},
        {"gen_ai.prompt": f"system: {SYSTEM}\nuser: {TURN}"},
        {"gen_ai.content.prompt": f"system: {SYSTEM}\nuser: {TURN}"},
        {"llm.prompts": [f"System: {SYSTEM}\nHuman: {TURN}"]},
        {
            "llm.prompts.0.role": "system",
            "llm.prompts.0.content": SYSTEM,
            "llm.prompts.1.role": "user",
            "llm.prompts.1.content": TURN,
        },
    ],
)
def test_content_wherever_a_library_puts_it(content: dict[str, Any]) -> None:
    assert of(span(1, CHAT | content)) == [("a", SYSTEM, TURN)]


def test_an_agents_span_beside_its_calls_is_no_exchange() -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "pydantic_ai.all_messages": MESSAGES}
    call = span(2, CHAT | {"gen_ai.input.messages": MESSAGES}, 1)
    assert of(span(1, agent), call) == of(call, span(1, agent)) == [("a", SYSTEM, TURN)]
    assert of(span(1, agent)) == []
    assert of(span(1, agent, kind=3)) == [("a", SYSTEM, TURN)]  # it runs elsewhere, and no call is seen
    assert len(of(span(1, agent, kind=3), call)) == 1


def test_a_call_without_a_model_in_the_spans_of_strands() -> None:
    # As strands-agents 1.62 writes them: an agent, a cycle and a call, with the messages as events of each.
    def of_strands(number: int, operation: str, parent: int | None) -> Span:
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.system": "strands-agents",
            "session.id": "c",
        }
        made = span(number, attributes, parent)
        made.events = [
            ("gen_ai.system.message", {"content": json.dumps([{"text": SYSTEM}])}, None),
            ("gen_ai.user.message", {"content": json.dumps([{"text": TURN}])}, None),
        ]
        return made

    agent, cycle = of_strands(1, "invoke_agent", None), of_strands(2, "execute_event_loop_cycle", 1)
    assert of(agent, cycle, of_strands(3, "chat", 2)) == [("a", SYSTEM, TURN)]


def test_the_innermost_of_nested_calls_counts_and_takes_what_it_lacks() -> None:
    outer = CHAT | {"gen_ai.input.messages": MESSAGES, "session.id": "c"}
    inner = Span(("t", "3"), ("t", "2"), 1.7e9, dict(CHAT), {})
    between = Span(("t", "2"), ("t", "1"), 1.7e9, {}, {})
    (exchange,) = exchanges_of([span(1, outer), between, inner])
    assert (exchange.account, exchange.conversation, exchange.first_user_turn) == ("a", "c", TURN)


def test_the_account_may_be_on_a_span_around_the_call() -> None:
    root = Span(("t", "1"), None, 1.7e9, {"enduser.id": "b"}, {})
    inner = Span(("t", "2"), ("t", "1"), 1.7e9, CHAT | {"gen_ai.input.messages": MESSAGES}, {})
    assert of(root, inner) == [("b", SYSTEM, TURN)]


@pytest.mark.parametrize(
    ("account", "conversation"),
    [
        ("mlflow.trace.user", "mlflow.trace.session"),
        ("lmnr.association.properties.user_id", "lmnr.association.properties.session_id"),
        ("traceloop.association.properties.user", "traceloop.association.properties.thread_id"),
        ("langfuse.trace.metadata.userId", "langfuse.trace.metadata.chatId"),
        ("ai.telemetry.metadata.user", "ai.telemetry.metadata.threadId"),
        ("metadata.user_id", "metadata.session_id"),
        ("posthog.distinct_id", "session_id"),
        ("user_id", "conversation_id"),
    ],
)
def test_what_libraries_call_an_account_and_a_conversation(account: str, conversation: str) -> None:
    call = Span(
        ("t", "1"),
        None,
        1.7e9,
        CHAT
        | {"gen_ai.input.messages": MESSAGES, account: "acct-7", conversation: "c-7", "user.id": "anonymous"},
        {},
    )
    (exchange,) = exchanges_of([call])
    assert (exchange.account, exchange.conversation) == ("acct-7", "c-7")


@pytest.mark.parametrize("operation", ["ai.embed.doEmbed", "ai.embedMany", "ai.toolCall"])
def test_embeddings_and_tool_calls_of_the_ai_sdk_are_no_exchanges(operation: str) -> None:
    assert (
        of(span(1, {"ai.operationId": operation, "gen_ai.request.model": "m", "gen_ai.system": "x"}, kind=3))
        == []
    )


def test_an_attribute_that_is_not_understood_is_named() -> None:
    (exchange,) = exchanges_of([span(1, CHAT | {"gen_ai.output.messages": "[]", "acme.prompt_blob": "AAAA"})])
    assert (exchange.first_user_turn, exchange.unread) == (None, "acme.prompt_blob")


def read(name: str) -> list[Exchange]:
    (piece,) = log_reader.cut(input_files.find([str(SAMPLES / name)]).sources, 1)
    return list(log_reader.read(piece, "auto", log_reader.BadLines(), log_reader.Counts()))


def test_pydantic_ai_counts_each_call_once() -> None:
    (exchange,) = read("otlp_pydantic_ai.jsonl")
    assert (exchange.account, exchange.first_user_turn) == ("acct-42", "What is the capital of France?")


def test_the_console_exporters_objects_behind_each_other() -> None:
    found = read("console_spans.txt")
    assert [(exchange.account, exchange.conversation, exchange.system) for exchange in found] == [
        ("acct-42", "conv-0", "Be kind."),
        ("acct-42", "conv-1", "Be kind."),
    ]


def test_langsmith_runs_with_labelled_prompts_and_with_messages() -> None:
    for exchange in read("langsmith_runs.jsonl"):
        assert (exchange.account, exchange.conversation) == ("acct-42", "conv-7")
        assert (exchange.system, exchange.first_user_turn) == ("Be kind.", "What is the capital of France?")
    chain = documents("langsmith_runs.jsonl")[0] | {"run_type": "chain"}
    assert list(FORMATS["langsmith"](chain)) == []
    assert len(list(FORMATS["langsmith"](chain | {"child_runs": documents("langsmith_runs.jsonl")}))) == 2


def test_jaeger_tempo_and_phoenix() -> None:
    tags = [
        {"key": key, "type": "string", "value": value}
        for key, value in (CHAT | {"user.id": "a", "gen_ai.input.messages": MESSAGES}).items()
    ]
    jaeger = {
        "data": [
            {
                "traceID": "t",
                "processes": {"p1": {"tags": []}},
                "spans": [
                    {
                        "traceID": "t",
                        "spanID": "1",
                        "processID": "p1",
                        "startTime": 1_700_000_000_000_000,
                        "tags": tags,
                    }
                ],
            }
        ]
    }
    batch = documents("otlp_text.jsonl")[0]["resourceSpans"]
    phoenix = {
        "data": [
            {
                "name": "x",
                "span_kind": "LLM",
                "start_time": "2026-09-20T10:00:00Z",
                "context": {"trace_id": "t", "span_id": "1"},
                "attributes": {
                    "user": {"id": "a"},
                    "llm": {
                        "input_messages": [
                            {"message": {"role": "system", "content": SYSTEM}},
                            {"message": {"role": "user", "content": TURN}},
                        ]
                    },
                },
            }
        ]
    }
    row = {
        "span_kind": "LLM",
        "start_time": "2026-09-20T10:00:00Z",
        "attributes.user.id": "a",
        "attributes.llm.input_messages": [
            {"message.role": "system", "message.content": SYSTEM},
            {"message.role": "user", "message.content": TURN},
        ],
    }
    stored = {
        **jaeger["data"][0]["spans"][0],
        "operationName": "chat",
        "process": {"tags": []},
    }  # in Elasticsearch
    for name, document in (("jaeger", jaeger), ("jaeger", stored), ("phoenix", phoenix), ("phoenix", row)):
        assert detect_format(document) == name
        (exchange,) = FORMATS[name](document)
        assert (exchange.account, exchange.system, exchange.first_user_turn) == ("a", SYSTEM, TURN)
    for document in (
        {"batches": batch},
        {"trace": {"resourceSpans": batch}},
        {"trace": {"batches": batch}},
        {"result": {"resourceSpans": batch}},
    ):
        assert detect_format(document) == "otlp"
        (exchange,) = FORMATS["otlp"](document)
        assert exchange.first_user_turn
    chain = row | {"span_kind": "CHAIN"}
    assert list(FORMATS["phoenix"](chain)) == []


def test_a_placeholder_on_a_span_is_refused() -> None:
    with pytest.raises(BadExchange, match="only a placeholder"):
        of(span(1, CHAT | {"user.id": "undefined", "gen_ai.input.messages": MESSAGES}))


def test_a_placeholder_on_a_call_gives_way_to_the_account_around_it() -> None:
    outer = span(1, {"user.id": "acct-1"})
    inner = span(2, CHAT | {"user.id": "undefined", "gen_ai.input.messages": MESSAGES}, 1)
    assert of(outer, inner) == [("acct-1", SYSTEM, TURN)]
