"""`tocsin ingest`: which address of a list counts, what share has no content, and times of each value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli_ingest import told
from tests.ingest import made_logs
from tocsin.ingest.indicators_file import read_indicators

HOPS = "6.6.6.6, 1.1.1.1, 9.9.9.9, 10.0.0.2"


def addresses(capture: pytest.CaptureFixture[str], folder: Path, header: str, *options: object) -> list[str]:
    metadata = {"user_api_key_user_id": "a", "requester_ip_address": header}
    logs = made_logs.write(folder / "log.jsonl", [made_logs.line("a", "s", "hello", metadata=metadata)])
    out = folder / "out.parquet"
    assert told(capture, "ingest", logs, "--out", out, "--workers", 1, *options)[0] == 0
    found = [indicator.value for indicator in read_indicators(out) if indicator.type == "net.ipv4"]
    out.unlink()
    return found


def test_trusted_hops_say_which_address_of_a_list_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert addresses(capsys, tmp_path, HOPS) == ["9.9.9.9"]
    assert addresses(capsys, tmp_path, HOPS, "--trusted-hops", 3) == ["1.1.1.1"]
    assert addresses(capsys, tmp_path, HOPS, "--trusted-hops", 2) == ["9.9.9.9"]
    assert addresses(capsys, tmp_path, HOPS, "--trusted-hops", 5) == []
    assert addresses(capsys, tmp_path, "9.9.9.9", "--trusted-hops", 1) == ["9.9.9.9"]


def test_addresses_that_are_mostly_a_proxys_are_warned_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        made_logs.line(
            f"a{number}", "s", "hello", metadata={"requester_ip_address": address, "user_api_key_user_id": f"a{number}"}
        )
        for number, address in enumerate(("10.0.0.1", "10.0.0.1", "9.9.9.9"))
    ]  # fmt: skip
    logs = made_logs.write(tmp_path / "log.jsonl", made)
    code, _, err = told(capsys, "ingest", logs, "--out", tmp_path / "out.parquet", "--workers", 1)
    assert code == 0
    assert "2 addresses are refused, 1 kept: the log may hold a proxy's address" in err
    assert "--trusted-hops" in err


def span(number: int, attributes: dict[str, Any]) -> str:
    given = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "user.id": "a", **attributes}
    made = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "startTimeUnixNano": str(1_790_000_000_000_000_000 + number),
        "attributes": [{"key": name, "value": {"stringValue": value}} for name, value in given.items()],
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [made]}]}]}) + "\n"


def test_the_share_without_content_is_told_with_the_first_attribute_that_should_hold_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = {"gen_ai.input.messages": json.dumps([{"role": "user", "content": "Which ferries leave?"}])}
    made = [span(number, read) for number in range(11)]
    made += [
        span(number, {"acme.prompt": "system and user in a form of its own"}) for number in range(20, 25)
    ]
    (tmp_path / "log.jsonl").write_text("".join(made))
    code, _, err = told(
        capsys, "ingest", tmp_path / "log.jsonl", "--out", tmp_path / "out.parquet", "--workers", 1
    )
    assert code == 0
    assert "31 % of exchanges have no readable content; the first such attribute is `acme.prompt`" in err


@pytest.mark.parametrize(
    ("unread", "read", "share"),
    [(1, 399, "Fewer than 1 %"), (399, 1, "More than 99 %"), (3, 0, "100 %"), (2, 6, "25 %")],
)
def test_the_share_is_never_rounded_to_none_or_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unread: int, read: int, share: str
) -> None:
    printed = "[{'role': 'system', 'content': 'Be kind.'}, {'role': 'user', 'content': 'hello'}]"
    made = [made_logs.line("a", "s", "", messages=printed)] * unread
    made += [made_logs.line("a", "s", "hello")] * read
    log, out = made_logs.write(tmp_path / "log.jsonl", made), tmp_path / "out.parquet"
    code, _, err = told(capsys, "ingest", log, "--out", out, "--workers", 1)
    assert code == 0
    assert f"{share} of exchanges have no readable content; the first such attribute is `messages`" in err


def test_the_share_is_of_all_logs_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Four formats in one folder; of 12 exchanges 3 hide their content, each in another way.
    turn = "Which ferries leave?"
    langfuse: dict[str, Any] = {
        "id": "o", "traceId": "t", "type": "GENERATION", "startTime": "2026-09-20T10:00:00Z", "userId": "b",
    }  # fmt: skip
    invocation: dict[str, Any] = {
        "schemaType": "ModelInvocationLog", "timestamp": "2026-09-20T10:00:00Z", "requestMetadata": {"user_id": "c"},
        "modelId": "m",
    }  # fmt: skip
    files = {
        "a.jsonl": [
            span(n, {"gen_ai.input.messages": json.dumps([{"role": "user", "content": turn}])})
            for n in (1, 2, 3)
        ]
        + [span(4, {"acme.prompt": "a form of its own"})],
        "b.jsonl": [
            json.dumps(langfuse | {"input": given}) + "\n"
            for given in (turn, turn, "[SystemMessage(content='x')]")
        ],
        "c.jsonl": [
            json.dumps(invocation | {"input": given}) + "\n"
            for given in ({"inputBodyJson": {"prompt": turn}}, {"inputBodyS3Path": "s3://b/k"})
        ],
        "d.jsonl": [made_logs.line("d", f"s{n}", turn) + "\n" for n in range(3)],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("".join(lines))
    code, out, err = told(capsys, "ingest", tmp_path, "--out", tmp_path / "out.parquet", "--workers", 1)
    assert code == 0
    assert "bad line" not in err
    assert "25 % of exchanges have no readable content; the first such attribute is `acme.prompt`" in err
    assert "exchanges without content" in out


def test_first_and_last_seen_of_a_template_are_those_of_its_conversations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, template = 1_790_000_000, (
        "Act as the clerk of harbour {} and list every ferry that leaves before noon, with its berth and its master, "
        "in a table whose last column says how many passengers it may carry."
    )  # fmt: skip
    texts = [f"What is {word} in Dutch?" for word in ("rain", "bread", "north", "boat", "glove")]
    texts += [template.format(word) for word in ("Ystad", "Dover", "Turku", "Pula", "Brest", "Kiel")]
    texts += [f"Who wrote about {word}?" for word in ("snow", "iron", "tea", "moss")]
    made = [
        made_logs.line("a", f"s{number}", text, time=start + 1_000.0 * number)
        for number, text in enumerate(texts)
    ]
    logs, out = made_logs.write(tmp_path / "log.jsonl", made), tmp_path / "out.parquet"
    assert told(capsys, "ingest", logs, "--out", out, "--workers", 1)[0] == 0
    seen = {
        (row.first_seen - start, row.last_seen - start)
        for row in read_indicators(out)
        if row.type == "prompt.template"
    }
    assert seen == {(5_000, 10_000)}


def test_first_and_last_seen_are_each_values_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [
        made_logs.line(
            "a", f"s{number}", "hello", time=1_790_000_000.0 + 1_000 * number,
            metadata={"user_api_key_user_id": "a", "requester_ip_address": address},
        )
        for number, address in enumerate(("9.9.9.9", "9.9.9.9", "8.8.8.8", "9.9.9.9", "8.8.4.4"))
    ]  # fmt: skip
    logs, out = made_logs.write(tmp_path / "log.jsonl", made), tmp_path / "out.parquet"
    assert told(capsys, "ingest", logs, "--out", out, "--workers", 1)[0] == 0
    seen = {
        row.value: (row.exchanges, row.first_seen - 1_790_000_000, row.last_seen - 1_790_000_000)
        for row in read_indicators(out)
        if row.type == "net.ipv4"
    }
    assert seen == {"9.9.9.9": (3, 0, 3_000), "8.8.8.8": (1, 2_000, 2_000), "8.8.4.4": (1, 4_000, 4_000)}
