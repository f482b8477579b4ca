"""What is the user's turn in a request, and what is not, in each shape that gateways write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin.ingest.formats.messages import request_of, text_of
from tocsin.ingest.formats.request_options import tools_of
from tocsin.ingest.formats.role_text import NOTHING, Turns, turns_of_prompt, turns_of_unknown

SYSTEM = "You are the clerk of the harbour office."
TURN = "Which ferries leave before noon?"
BOTH = Turns(SYSTEM, TURN, None, 1)
CHAT = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TURN}]
LC = ("langchain_core", "messages")


@pytest.mark.parametrize(
    "request_",
    [
        CHAT,
        {"messages": CHAT},
        json.dumps({"messages": CHAT}),
        json.dumps(json.dumps(CHAT)),
        {"system": SYSTEM, "messages": [CHAT[1]]},
        {"instructions": SYSTEM, "input": TURN},
        json.dumps({"model": "m", "instructions": SYSTEM, "input": TURN}),
        {"body": {"messages": CHAT}},
        {"contents": [{"parts": [{"text": TURN}]}], "systemInstruction": {"parts": [{"text": SYSTEM}]}},
        {"contents": TURN, "config": {"system_instruction": SYSTEM}},
        {"parts": [{"text": TURN}], "system_instruction": SYSTEM},
        {"inputPrompt": TURN, "system": SYSTEM},
        {
            "system": [{"text": SYSTEM}, {"cachePoint": {"type": "default"}}],
            "messages": [{"role": "user", "content": [{"text": TURN}]}],
        },
        {"messages": [{"type": "system", "content": SYSTEM}, {"type": "human", "content": TURN, "id": "x"}]},
        {
            "messages": [
                [
                    {"type": "constructor", "id": [*LC, "SystemMessage"], "kwargs": {"content": SYSTEM}},
                    {"type": "constructor", "id": [*LC, "HumanMessage"], "kwargs": {"content": TURN}},
                ]
            ]
        },
        {"messages": [["system", SYSTEM], ["human", TURN]]},
        [
            {
                "kind": "request",
                "parts": [
                    {"part_kind": "system-prompt", "content": SYSTEM},
                    {"part_kind": "user-prompt", "content": TURN},
                ],
            }
        ],
        {"prompts": [f"System: {SYSTEM}\nHuman: {TURN}"]},
        [
            {"message.role": "system", "message.content": SYSTEM},
            {"message.role": "user", "message.content": TURN},
        ],
        [{"message": {"role": "system", "content": SYSTEM}}, {"message": {"role": "user", "content": TURN}}],
        {"preamble": SYSTEM, "message": TURN, "model": "command"},
        [{"role": "user", "content": json.dumps({"model": "m", "messages": CHAT})}],
    ],
)
def test_every_shape_gives_the_same_turns(request_: Any) -> None:
    assert request_of(request_) == BOTH


@pytest.mark.parametrize(
    "text",
    [
        f"system: {SYSTEM}\nuser: {TURN}",
        f"System: {SYSTEM}\n\nHuman: {TURN}\n\nAssistant:",
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{TURN}<|im_end|>\n<|im_start|>assistant\n",
        f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{SYSTEM}<|eot_id|>"
        f"<|start_header_id|>user<|end_header_id|>\n\n{TURN}<|eot_id|><|start_header_id|>assistant<|end_header_id|>",
        f"<s>[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n{TURN} [/INST]",
    ],
)
def test_roles_in_a_text_are_split(text: str) -> None:
    assert turns_of_unknown(text) == turns_of_prompt(text) == BOTH


def test_an_example_in_a_system_prompt_is_nobodys_turn() -> None:
    text = f"system: {SYSTEM} For example:\nuser: where is berth 9?\nassistant: East.\nuser: {TURN}"
    assert turns_of_unknown(text).first == TURN


@pytest.mark.parametrize(
    "text",
    [
        str(CHAT),
        str(CHAT)[:70] + "...truncated by litellm, this logger does not support large content",
        json.dumps(CHAT)[:70],
        f"[SystemMessage(content='{SYSTEM}'), HumanMessage(content='{TURN}')]",
        f"messages=[SystemMessage(content='{SYSTEM}'), HumanMessage(content='{TURN}')]",
        f"[map[content:{SYSTEM} role:system] map[content:{TURN} role:user]]",
        f'[{{:role=>"system", :content=>"{SYSTEM}"}}]',
        f"[UserMessage {{ name = null contents = [TextContent {{ text = {TURN} }}] }}]",
        "[object Object],[object Object]",
        json.dumps({"question": TURN, "context": SYSTEM}),
        json.dumps([{"name": "a"}, {"name": "b"}]),
    ],
)
def test_a_text_that_is_not_known_to_be_the_users_is_no_turn(text: str) -> None:
    assert request_of(text) is NOTHING


@pytest.mark.parametrize(
    "text", [TURN, "[Note] please be brief.", "{name}, write to me", "(a) what is a fjord?"]
)
def test_plain_text_is_the_users(text: str) -> None:
    assert request_of(text).first == text


@pytest.mark.parametrize(
    "text",
    [
        "default-message-value", "redacted-by-litellm", "<truncated due to size exceeding limit>", "[REDACTED]",
        "*** MASKED ***", "__REDACTED__", "****", "[Scrubbed due to 'password']", " ",
        "None", "null", "undefined", "N/A", "<nil>", "[content omitted]", "[PII REDACTED]", "Prompt redacted.",
        "content not captured", "(empty)", "[no content]", "<image>", "...", "\u200b", "__hidden__",
    ],
)  # fmt: skip
def test_what_stands_for_hidden_text_is_none(text: str) -> None:
    assert text_of(text) is text_of([{"type": "text", "text": text}]) is None


def test_a_question_about_hiding_is_a_text() -> None:
    assert text_of("Hidden figures: summarise the film") is not None
    assert text_of("redacted documents of the harbour office") is not None
    assert text_of("None of these ferries") is not None
    assert text_of("[no content in this list]\nsort it") is not None


def test_parts_as_json_text_are_parts_and_json_of_the_users_own_is_not() -> None:
    parts = [
        {"type": "text", "text": "Which ferries\nleave"},
        {"type": "image_url", "image_url": {"url": "data:"}},
    ]
    assert text_of(json.dumps(parts)) == "Which ferries\nleave"
    assert text_of('[{"text": "a"}]') == "a"
    own = '{"name": "ferry", "leaves": 9}'
    assert text_of(own) == own


def test_the_last_turn_is_another_unit_and_the_history_between_is_not() -> None:
    messages = [*CHAT, {"role": "assistant", "content": "Two."}, {"role": "user", "content": "And after?"}]
    messages += [{"role": "assistant", "content": "Five."}, {"role": "user", "content": "Thanks"}]
    messages += [{"role": "user", "content": [{"type": "tool_result", "content": "no text of a user"}]}]
    assert request_of(messages) == Turns(SYSTEM, TURN, "Thanks", 3)
    assert request_of([CHAT[1], CHAT[1]]) == Turns(None, TURN, None, 2)


def test_a_reusable_prompt_is_what_the_request_fills_in() -> None:
    assert request_of({"prompt": {"id": "p", "variables": {"a": TURN}}}).first == TURN
    assert request_of({"prompt": {"id": "p", "variables": {"a": "b"}}, "input": TURN}).first == TURN


def test_a_cut_text_keeps_no_mark_of_the_library() -> None:
    cut = f"{TURN * 4} ... (litellm_truncated 999 chars) ... {TURN * 4}"
    assert "truncated" not in str(text_of(cut))


def test_tools_in_each_container() -> None:
    tool = {"name": "a"}
    want = '[{"name":"a"}]'
    for given in ([tool], json.dumps([tool]), [json.dumps(tool)], {"tools": [tool]}):
        assert tools_of(given) == want
    assert tools_of([]) is tools_of("x") is tools_of(None) is None
