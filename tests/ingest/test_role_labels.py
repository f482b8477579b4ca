"""One text with roles in it: what is the user's in each style of labels and chat templates, and what is nobody's."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tocsin.ingest.formats.messages import request_of
from tocsin.ingest.formats.role_text import NOTHING, Turns, turns_of_prompt, turns_of_unknown

SYSTEM = "You are the clerk of the harbour office."
TURN = "Which ferries leave before noon?"
BOTH = Turns(SYSTEM, TURN, None, 1)
CHAT = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TURN}]


@pytest.mark.parametrize(
    "text",
    [
        f"SYSTEM: {SYSTEM}\nUSER: {TURN}\nASSISTANT:",
        f"**System:** {SYSTEM}\n\n**User:** {TURN}",
        f"**System**: {SYSTEM}\n\n**User**: {TURN}",
        f"### System:\n{SYSTEM}\n\n### User:\n{TURN}\n\n### Assistant:\n",
        f"## System\n{SYSTEM}\n\n## Human\n{TURN}\n",
        f"[SYSTEM] {SYSTEM}\n[USER] {TURN}",
        f"[System]: {SYSTEM}\n[User]: {TURN}",
        f"--- system ---\n{SYSTEM}\n--- user ---\n{TURN}",
        f"{'=' * 32} System Message {'=' * 32}\n\n{SYSTEM}\n{'=' * 33} Human Message {'=' * 33}\n\n{TURN}",
        f"SystemMessage: {SYSTEM}\nHumanMessage: {TURN}",
        f"System prompt: {SYSTEM}\nUser prompt: {TURN}",
        f'"system": "{SYSTEM}"\n"user": "{TURN}"',
        f"<system>{SYSTEM}</system>\n<user>{TURN}</user>",
        f"Système : {SYSTEM}\nUtilisateur : {TURN}",
        f"Sistema: {SYSTEM}\nUsuario: {TURN}\nAsistente:",
        f"System: {SYSTEM}\nBenutzer: {TURN}",
        f"Система: {SYSTEM}\nПользователь: {TURN}",
        f"系统：{SYSTEM}\n用户：{TURN}",
        f"システム: {SYSTEM}\nユーザー: {TURN}",
        f"システムプロンプト：{SYSTEM}\nユーザーメッセージ：{TURN}",
        f"Системне повідомлення: {SYSTEM}\nКористувач: {TURN}",
        f"Järjestelmä: {SYSTEM}\nKäyttäjä: {TURN}",
        f"Σύστημα: {SYSTEM}\nΧρήστης: {TURN}",  # a final sigma
        f"מערכת: {SYSTEM}\nמשתמש: {TURN}",
        f"سیستم: {SYSTEM}\nکاربر: {TURN}",
        f"ระบบ: {SYSTEM}\nผู้ใช้: {TURN}",
        f"Mensaje del sistema: {SYSTEM}\nMensaje del usuario: {TURN}",
        f"【系统】{SYSTEM}\n【用户】{TURN}",
        f"(system) {SYSTEM}\n(user) {TURN}",
        f"system> {SYSTEM}\nuser> {TURN}",
        f"system\t{SYSTEM}\nuser\t{TURN}",
        f"SYSTEM\n{SYSTEM}\nUSER\n{TURN}",
        f"!!system\n{SYSTEM}\n!!user\n{TURN}",
        f"- System:\n{SYSTEM}\n- User:\n{TURN}",
        f"__System:__ {SYSTEM}\n__User:__ {TURN}",
        f"### **System:** {SYSTEM}\n### **User:** {TURN}",
        f"🧭 System: {SYSTEM}\n👤 User: {TURN}",
    ],
)
def test_labels_in_each_style_are_split(text: str) -> None:
    assert turns_of_unknown(text) == turns_of_prompt(text) == BOTH


@pytest.mark.parametrize(
    "text",
    [
        f"<s>[SYSTEM_PROMPT]{SYSTEM}[/SYSTEM_PROMPT][INST]{TURN}[/INST]",
        f"<|begin_of_text|><|header_start|>system<|header_end|>\n\n{SYSTEM}<|eot|><|header_start|>user<|header_end|>"
        f"\n\n{TURN}<|eot|><|header_start|>assistant<|header_end|>",
        f"<|start_of_role|>system<|end_of_role|>{SYSTEM}<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>{TURN}"
        "<|end_of_text|>",
        f"<|start|>system<|message|>{SYSTEM}<|end|><|start|>user<|message|>{TURN}<|end|><|start|>assistant",
        f"<BOS_TOKEN><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{SYSTEM}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|>"
        f"<|USER_TOKEN|>{TURN}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        f"<｜begin▁of▁sentence｜>{SYSTEM}<｜User｜>{TURN}<｜Assistant｜>",
        f"<|system|>\n{SYSTEM}<|end|>\n<|user|>\n{TURN}<|end|>\n<|assistant|>",
    ],
)
def test_chat_templates_of_models_are_split(text: str) -> None:
    assert turns_of_unknown(text) == turns_of_prompt(text) == BOTH


@pytest.mark.parametrize(
    "text",
    [
        f"{SYSTEM}\n\nHuman: {TURN}\n\nAssistant:",
        f"{SYSTEM} USER: {TURN} ASSISTANT:",
        f"{SYSTEM}\n\n### Instruction:\n{TURN}\n\n### Response:\n",
    ],
)
def test_what_stands_before_the_first_label_of_a_prompt_is_its_system_prompt(text: str) -> None:
    assert turns_of_unknown(text) == turns_of_prompt(text) == BOTH


def test_a_chat_template_of_a_model_that_is_not_known_holds_no_turn() -> None:
    assert turns_of_unknown(f"<|prelude|>{SYSTEM}<|who|>{TURN}") == NOTHING


@pytest.mark.parametrize(
    "text",
    [
        f"Please translate:\nUser: {TURN}",
        "# Title\n\nSummarise this note.",
        "Which role has the user: guest or owner?",
        "List (in order) the ports that ferries call at.",
        "- System\n- Battery\n- Screen\nWhich of them fails first?",
        "Model: T-34\nYear: 1942\nWrite a page about it.",
        "> User\nquote this",
        "model | speed\n--- | ---\na | b",
        "user\tage\nbob\t3",
        "Human\nrights in one page, please",
        '"User" has many meanings; list them.',
        ("-" * 80 + "\n") * 900 + "user",
        "*" * 60_000 + " user:",
        "@user tell me more",
        f"My dialogue has two lines.\nHuman: {TURN}\nAssistant: None.\nIs that polite?",
    ],
)
def test_a_text_that_merely_mentions_roles_is_the_users(text: str) -> None:
    assert turns_of_unknown(text) == turns_of_prompt(text) == Turns(None, text, None, 1)


@pytest.mark.parametrize(
    "text",
    [
        f"[{{system {SYSTEM}}} {{user {TURN}}}]",
        f"[{{Role:system Content:{SYSTEM}}} {{Role:user Content:{TURN}}}]",
        f"&{{gpt-4o [{{system {SYSTEM} []}}] 0}}",
        f'[]openai.ChatCompletionMessage{{openai.ChatCompletionMessage{{Role:"system", Content:"{SYSTEM}"}}}}',
        "[0xc000123456 0xc000123460]",
        f'Some([Message {{ role: System, content: "{SYSTEM}" }}])',
        f"List(Message(system,{SYSTEM}), Message(user,{TURN}))",
        f"Vector(ChatMessage(System,{SYSTEM}))",
        f'[{{role,<<"system">>}},{{content,<<"{SYSTEM}">>}}]',
        f"OrderedDict([('role', 'system'), ('content', '{SYSTEM}')])",
        f"dict_values(['{SYSTEM}'])",
        "<generator object messages at 0x7f2b>",
        "<app.chat.Message object at 0x7f2b>",
        "[Lcom.acme.Message;@1b2c3d",
        "System.Collections.Generic.List`1[OpenAI.Chat.ChatMessage]",
        f"[{{'role': 'system', 'content': '{SYSTEM}', 'name': None, 'cache': True}}]",
        "%5B%7B%22role%22%3A%22system%22%7D%5D",
        f"```json\n{json.dumps(CHAT)}\n```",
        f"role: system\ncontent: {SYSTEM}\nrole: user\ncontent: {TURN}",
        f'messages {{ role: ROLE_SYSTEM content: "{SYSTEM}" }}',
        "model=m&messages=%5B%7B%22role%22%3A%22system%22",
        "Microsoft.SemanticKernel.ChatCompletion.ChatHistory",
        base64.b64encode(json.dumps(CHAT).encode()).decode(),
    ],
)
def test_what_a_language_prints_of_its_messages_is_no_turn(text: str) -> None:
    assert request_of(text) is NOTHING


@pytest.mark.parametrize("field", ["request_body", "requestBody", "payload", "data", "text", "value", "raw"])
@pytest.mark.parametrize("given", [CHAT, {"model": "m", "messages": CHAT}])
def test_a_request_nested_in_any_field_is_read(field: str, given: Any) -> None:
    assert request_of({field: given}) == BOTH
    assert request_of({field: json.dumps(given)}) == BOTH
    assert request_of({field: f"\ufeff{json.dumps(given)}"}) == BOTH
    assert request_of({field: str(given)}) is NOTHING


def test_plain_text_in_a_field_that_may_be_anybodys_is_no_turn() -> None:
    assert (
        request_of({"data": SYSTEM})
        is request_of({"query": SYSTEM})
        is request_of({"value": SYSTEM})
        is NOTHING
    )


def test_what_is_nested_in_the_users_message_is_read_as_a_request() -> None:
    nested = json.dumps({"model": "m", "messages": CHAT})
    assert request_of([{"role": "user", "content": [{"type": "text", "text": nested}]}]) == BOTH
    assert request_of([{"role": "user", "content": str(CHAT)}]) is NOTHING
