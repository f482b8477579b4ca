"""Logs as a gateway writes them, made fast: LiteLLM records of four shapes.

1. `steady`: accounts of about 1,150 exchanges, as in the public example of 25,000 accounts and 28.8 million exchanges.
   Nine of ten accounts fill one template's gap with other texts; one of ten asks for all sorts of things. A tenth of
   the conversations has several exchanges, which repeat the first user turn.
2. `chats`: 18 exchanges an account, each with a system prompt of 12 KB, one of 200, and with the history of its chat,
   which grows by a turn with each exchange: six chats of three.
3. `documents`: 18 exchanges an account, each a conversation of its own; each prompt holds a document of 4 KB among a
   template's words.
4. `few`: 4 exchanges an account, each a conversation of its own, without a system prompt.
5. Exchanges of all accounts are mixed, as they are in a gateway's log. The same seed makes the same log.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random  # noqa: TID251  made-up logs, the same ones each time

from measure import ROOT

EXCHANGES_EACH = 1_150
FIRST_SECOND = 1_780_000_000
SPAN_SECONDS = 20 * 86_400
_ACTIVE = 512
"""How many accounts are at work at the same time."""
_HISTORY_EACH = 18
_CHAT = 3
_FEW_EACH = 4
_SYSTEM_PROMPTS = 200
_SYSTEM_BYTES = 12_000
_DOCUMENT_BYTES = 4_000
SHAPES = ("steady", "chats", "documents", "few")
TEMPLATED = ROOT.parent / "shared" / "data" / "prompts" / "templated.jsonl.gz"
_SYLLABLES = (
    "ba",
    "ke",
    "lo",
    "mi",
    "nu",
    "sta",
    "ron",
    "tel",
    "vas",
    "dim",
    "ur",
    "fo",
    "gi",
    "pre",
    "sha",
    "wo",
    "an",
    "est",
)
_BUILT_IN = (
    "Read the passage below with care, then list every claim that it makes, one to a line. Passage: {}",
    "You are grading a student's answer. Give a mark from 0 to 10 and say in two sentences why. Answer: {}",
    "Write a step by step solution of this problem and put the final result in a box at the end. Problem: {}",
    "Translate the text between the marks into plain English and keep its paragraphs as they are. Text: {}",
)


def templates(path: Path = TEMPLATED) -> list[list[str]]:
    """Return prompts by template: those of a file of JSON lines where it is there, else a few made up here."""
    found: dict[str, list[str]] = {}
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                found.setdefault(record["template"], []).append(record["prompt"])
        return [prompts for prompts in found.values() if len(prompts) >= 20]
    chosen = Random(1)
    # As often as in a language: the n-th word in one of n.
    words = list(map("".join, itertools.product(_SYLLABLES, repeat=3)))
    chosen.shuffle(words)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))
    return [
        [shape.format(" ".join(chosen.choices(words, cum_weights=weights, k=120))) for _ in range(200)]
        for shape in _BUILT_IN
    ]


def write_shape(path: Path, records: int, shape: str, every: list[list[str]]) -> int:
    """Write about so many records of a shape, of prompts by template, to `path`; return how many they are."""
    if shape == "steady":
        write_logs(path, records, every)
        return records
    chosen = Random(11)
    words = sorted({word for prompts in every for prompt in prompts for word in prompt.split()})
    systems = [_text(chosen, words, _SYSTEM_BYTES) for _ in range(_SYSTEM_PROMPTS)]
    each = _FEW_EACH if shape == "few" else _HISTORY_EACH
    accounts = max(1, records // each)
    lines = []
    with path.open("wb", buffering=1 << 22) as file:
        for start in range(0, accounts, _ACTIVE):
            lines = [
                line
                for account in range(start, min(start + _ACTIVE, accounts))
                for line in _of_account(account, shape, every[account % len(every)], systems, words, chosen)
            ]
            chosen.shuffle(lines)
            file.writelines(lines)
    return accounts * each


def _text(chosen: Random, words: list[str], size: int) -> str:
    made = " ".join(chosen.choices(words, k=size // 5))
    return made[:size]


def _of_account(
    account: int, shape: str, prompts: list[str], systems: list[str], words: list[str], chosen: Random
) -> Iterator[bytes]:
    if shape == "few":
        requests = [[_turn("user", prompt)] for prompt in chosen.choices(prompts, k=_FEW_EACH)]
    elif shape == "documents":
        requests = [
            [_turn("user", f"{prompt}\n{_text(chosen, words, _DOCUMENT_BYTES)}")]
            for prompt in chosen.choices(prompts, k=_HISTORY_EACH)
        ]
    else:
        requests = []
        system = _turn("system", systems[account % len(systems)])
        for _ in range(_HISTORY_EACH // _CHAT):
            history = [system]
            for prompt in chosen.choices(prompts, k=_CHAT):
                history.append(_turn("user", prompt))
                requests.append(list(history))
                history.append(_turn("assistant", _text(chosen, words, 600)))
    for number, messages in enumerate(requests):
        record = {
            "id": f"chatcmpl-{account:x}-{number:x}",
            "session_id": f"s-{account:x}-{number // _CHAT if shape == 'chats' else number:x}",
            "call_type": "acompletion", "startTime": FIRST_SECOND + number * 3_600.0 + account % 3_600,
            "metadata": {
                "user_api_key_user_id": f"user-{account}",
                "requester_ip_address": f"51.15.{account >> 8 & 255}.{account & 255}",
            },
            "model": "large-1", "messages": messages, "status": "success",
            "response": {"choices": [{"message": _turn("assistant", "x" * 400)}]},
        }  # fmt: skip
        yield json.dumps(record).encode() + b"\n"


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def write_logs(path: Path, records: int, every: list[list[str]], line_bytes: int = 2_000) -> int:
    """Write `records` records of shape `steady` to `path`, of about `line_bytes` each; return of how many accounts."""
    chosen = Random(7)
    bodies = _bodies(every, line_bytes)
    accounts = max(1, round(records / EXCHANGES_EACH))
    step = SPAN_SECONDS / max(records, 1)
    written = 0
    with path.open("wb", buffering=1 << 22) as file:
        for number, account, conversation, body in _exchanges(records, accounts, bodies, chosen):
            head = (
                f'{{"id":"chatcmpl-{number:x}","session_id":"s-{conversation:x}","call_type":"acompletion",'
                f'"startTime":{FIRST_SECOND + number * step:.3f},"metadata":{{"user_api_key_user_id":"user-{account}",'
                f'"requester_ip_address":"51.15.{account >> 8 & 255}.{account & 255}"}},'
            )
            file.write(head.encode())
            file.write(body)
            written += 1
    return accounts


def _exchanges(
    records: int, accounts: int, bodies: list[list[bytes]], chosen: Random
) -> Iterator[tuple[int, int, int, bytes]]:
    number = 0
    for start in range(0, accounts, _ACTIVE):
        active = range(start, min(start + _ACTIVE, accounts))
        share = round(records * active.stop / accounts)
        again: list[tuple[int, int, bytes]] = []
        while number < share:
            if again and chosen.random() < 0.2:
                account, conversation, body = again.pop()
            else:
                account = active[int(chosen.random() * len(active))]
                of = (
                    bodies[account % len(bodies)]
                    if account % 10
                    else bodies[int(chosen.random() * len(bodies))]
                )
                conversation, body = number, of[int(chosen.random() * len(of))]
                if chosen.random() < 0.1:
                    again += [(account, conversation, body)] * 2
            yield number, account, conversation, body
            number += 1


def _bodies(every: list[list[str]], line_bytes: int) -> list[list[bytes]]:
    """The part of a line behind its metadata, by template; made once, since JSON is what takes the time."""
    made = []
    for prompts in every:
        bodies = []
        for prompt in prompts:
            messages = json.dumps([{"role": "user", "content": prompt}])
            # The answer, which is not read, makes up the length of an ordinary line.
            answer = "x" * max(0, line_bytes - 330 - len(messages))
            bodies.append(
                f'"model":"large-1","model_parameters":{{"temperature":0.7}},"messages":{messages},"status":"success",'
                f'"total_tokens":812,"response":{{"choices":[{{"message":{{"role":"assistant","content":"{answer}"}}}}]}}}}\n'.encode()
            )
        made.append(bodies)
    return made
