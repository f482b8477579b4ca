"""Inputs of public shapes that were once lost or misread, where they lie beside the repository; skipped elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.ingest import input_files, log_reader
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.formats import read_field_map

CASES = Path(__file__).parents[3] / "shared" / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not there")


def read(path: str, field_map: str | None = None) -> tuple[list[Exchange], log_reader.Counts]:
    counts = log_reader.Counts()
    found: list[Exchange] = []
    format = "auto" if field_map is None else read_field_map(CASES / field_map)
    for piece in log_reader.cut(input_files.find([str(CASES / path)]).sources, 1):
        found += log_reader.read(piece, format, log_reader.BadLines(), counts)
    return found, counts


@pytest.mark.parametrize(
    ("path", "exchanges", "without_content", "bad"),
    [
        ("02-lone-surrogate-nan", 17, 0, 0),
        ("03-system-prompt-as-user-turn/t_lf_responses.jsonl", 14, 0, 0),
        ("03-system-prompt-as-user-turn/t_openlit.jsonl", 14, 0, 0),
        ("03-system-prompt-as-user-turn/t_truncated.jsonl", 14, 14, 0),
        ("04-agent-span-hides-the-turn/t_pyd_agent_and_chat.jsonl", 12, 0, 0),
        ("04-agent-span-hides-the-turn/t_pyd_chat_only.jsonl", 12, 0, 0),
        ("05-claude-code-user-id", 6, 0, 0),
        ("06-content-as-json-text/lf_parts.jsonl", 2, 0, 0),
        ("06-content-as-json-text/otel_strands.jsonl", 1, 0, 0),
        ("07-addresses", 7, 0, 0),
        ("10-litellm-placeholders/litellm_default_message.jsonl", 0, 0, 0),
        ("11-langchain-messages", 4, 0, 0),
        ("12-vercel-ai-sdk", 1, 0, 0),
        ("13-content-attributes-not-known", 4, 0, 0),
        ("14-gemini-contents", 3, 0, 0),
        ("15-litellm-spend-logs", 1, 0, 0),
        ("17-collector-zstd-frames", 3, 0, 0),
        ("18-cloudwatch-prefix", 1, 0, 0),
        ("19-account-names/otel_openllmetry_assoc.jsonl", 2, 0, 0),
        ("19-account-names/otel_placeholder_user.jsonl", 0, 0, 8),
        ("23-openai-batch", 5, 0, 0),
        ("24-langfuse-manifests", 1, 0, 0),
    ],
)
def test_what_was_lost_is_read(path: str, exchanges: int, without_content: int, bad: int) -> None:
    found, counts = read(path)
    assert (len(found), counts.without_content, counts.bad) == (exchanges, without_content, bad)
    assert all(exchange.first_user_turn for exchange in found) or without_content


def test_no_system_prompt_is_a_turn() -> None:
    for name in ("t_lf_responses", "t_openlit"):
        for exchange in read(f"03-system-prompt-as-user-turn/{name}.jsonl")[0]:
            assert str(exchange.system).startswith("You are the concierge")
            assert str(exchange.first_user_turn).startswith("Please")


@pytest.mark.parametrize(
    ("path", "exchanges"),
    [("apim_lines.jsonl", 1), ("apim_records.json", 2), ("bedrock.jsonl", 4), ("vertex.jsonl", 1)],
)
def test_field_maps(path: str, exchanges: int) -> None:
    folder = "16-field-map-limits"
    found, counts = read(
        f"{folder}/{path}", f"{folder}/{path.split('_', maxsplit=1)[0].split('.', maxsplit=1)[0]}.toml"
    )
    assert (len(found), counts.bad) == (exchanges, 0)


def test_all_the_times() -> None:
    found, counts = read("16-field-map-limits/times.jsonl", "16-field-map-limits/t.toml")
    assert (len(found), counts.bad) == (16, 0)
