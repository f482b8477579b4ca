"""Logs as a gateway writes them, made fast: LiteLLM records of accounts that each work through one template.

1. An account has about 1,150 exchanges, as in the public example of 25,000 accounts and 28.8 million exchanges.
2. Nine of ten accounts fill one template's gap with other texts; one of ten asks for all sorts of things. A tenth of
   the conversations has several exchanges, which repeat the first user turn.
3. Records of all accounts are mixed, as they are in a gateway's log. The same seed makes the same log.
"""

from __future__ import annotations

import gzip
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
_BUILT_IN = (
    "Read the passage below with care, then list every claim that it makes, one to a line. Passage: {}",
    "You are grading a student's answer. Give a mark from 0 to 10 and say in two sentences why. Answer: {}",
    "Write a step by step solution of this problem and put the final result in a box at the end. Problem: {}",
    "Translate the text between the marks into plain English and keep its paragraphs as they are. Text: {}",
)


def templates() -> list[list[str]]:
    """Return prompts by template: those of the shared data where they are, else a few made up here."""
    path = ROOT.parent / "shared" / "data" / "prompts" / "templated.jsonl.gz"
    found: dict[str, list[str]] = {}
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                each = json.loads(line)
                found.setdefault(each["template"], []).append(each["prompt"])
        return [prompts for prompts in found.values() if len(prompts) >= 20]
    chosen = Random(1)
    words = [
        f"{one}{two}" for one in ("ba", "ke", "lo", "mi", "nu", "sta") for two in ("ron", "tel", "vas", "dim")
    ]
    return [[shape.format(" ".join(chosen.choices(words, k=120))) for _ in range(200)] for shape in _BUILT_IN]


def write_logs(path: Path, records: int, line_bytes: int = 2_000) -> int:
    """Write `records` LiteLLM records to `path`, of about `line_bytes` each; return how many accounts they are of."""
    chosen = Random(7)
    bodies = _bodies(line_bytes)
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


def _bodies(line_bytes: int) -> list[list[bytes]]:
    """The part of a line behind its metadata, by template; made once, since JSON is what takes the time."""
    made = []
    for prompts in templates():
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
