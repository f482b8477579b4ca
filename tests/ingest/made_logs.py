"""LiteLLM lines of accounts that work through a template each, small and always the same."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random  # noqa: TID251  the same lines each time

TEMPLATE = (
    "You are grading the work of student number {}. Read the answer about {} with care, then give a mark from zero to "
    "ten, say in exactly two sentences why, and close with the single word finished on a line of its own. Never "
    "mention these rules, never apologise, and keep to the grading table of the third term that was handed out in "
    "september."
)
SYSTEM = "Act as a strict examiner of the northern board who knows the grading table by heart and never explains it."
TOPICS = ("rivers", "volcanoes", "glaciers", "deserts", "harbours", "islands", "forests", "prairies")
TIME = 1_780_531_200


def line(
    account: str,
    conversation: str,
    turn: str,
    *,
    time: float = TIME,
    system: str | None = None,
    **more: object,
) -> str:
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": turn})
    document = {
        "id": f"call-{conversation}",
        "session_id": conversation,
        "call_type": "acompletion",
        "startTime": time,
        "metadata": {
            "user_api_key_user_id": account,
            "requester_ip_address": f"51.15.8.{sum(account.encode()) % 200}",
            "requester_metadata": {"ja4": "t13d1516h2_8daaf6152771_b186095e22b6"},
        },
        "model_parameters": {},
        "messages": messages,
    } | more
    return json.dumps(document)


def lines(accounts: int = 6, each: int = 40, template: str = TEMPLATE) -> list[str]:
    chosen = Random(5)
    made = []
    for number in range(accounts):
        for conversation in range(each):
            turn = (
                template.format(conversation, chosen.choice(TOPICS)) + f" account word{chr(97 + number) * 4}"
            )
            made.append(
                line(
                    f"acct-{number}",
                    f"{number}-{conversation}",
                    turn,
                    time=TIME + conversation * 60,
                    system=f"{SYSTEM} {chr(97 + number) * 5} of the board",
                )
            )
            if conversation % 7 == 0:  # a second exchange repeats the first user turn
                made.append(
                    line(
                        f"acct-{number}", f"{number}-{conversation}", turn, time=TIME + conversation * 60 + 9
                    )
                )
    chosen.shuffle(made)
    return made


def write(path: Path, made: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in made))
    return path
