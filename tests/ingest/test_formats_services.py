"""Logs of clouds and gateways, in the shapes that their documentation gives."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tocsin.ingest import input_files, log_reader
from tocsin.ingest.exchange import Exchange
from tocsin.ingest.formats import read_field_map, shipped_maps

TURN, SYSTEM = "Which ferries leave before noon?", "Be kind."
CHAT = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TURN}]
AT = "2026-09-20T10:00:00Z"
INVOCATION = {
    "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": AT, "operation": "InvokeModel",
    "identity": {"arn": "arn:aws:sts::1:assumed-role/gateway/acct-1"}, "modelId": "m",
}  # fmt: skip


def bedrock(body: Any, **more: Any) -> dict[str, Any]:
    return INVOCATION | {"input": {"inputBodyJson": body}} | more


def read(path: Path, format: Any = "auto") -> tuple[list[Exchange], log_reader.Counts]:
    counts = log_reader.Counts()
    (piece,) = log_reader.cut(input_files.find([str(path)]).sources, 1)
    return list(log_reader.read(piece, format, log_reader.BadLines(), counts)), counts


def of(tmp_path: Path, *documents: Any, format: Any = "auto") -> list[Exchange]:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f"{json.dumps(document)}\n" for document in documents))
    found, counts = read(path, format)
    assert counts.bad == 0
    return found


@pytest.mark.parametrize(
    "body",
    [
        {"system": [{"text": SYSTEM}], "messages": [{"role": "user", "content": [{"text": TURN}]}]},
        {"system": SYSTEM, "messages": [{"role": "user", "content": TURN}], "max_tokens": 9},
        {"prompt": f"<s>[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n{TURN} [/INST]"},
        {"inputText": f"System: {SYSTEM}\nUser: {TURN}"},
        {"message": TURN, "preamble": SYSTEM, "chat_history": []},
        {"prompt": f"\n\nSystem: {SYSTEM}\n\nHuman: {TURN}\n\nAssistant:"},
    ],
)
def test_bedrocks_bodies_of_all_models(tmp_path: Path, body: dict[str, Any]) -> None:
    (exchange,) = of(tmp_path, bedrock(body))
    assert (exchange.system, exchange.first_user_turn) == (SYSTEM, TURN)
    assert exchange.account == "arn:aws:sts::1:assumed-role/gateway/acct-1"


def test_bedrocks_accounts(tmp_path: Path) -> None:
    numbered = {"identity": {"arn": "arn:aws:sts::1:assumed-role/gateway/botocore-session-17"}}
    found = of(
        tmp_path,
        bedrock({"prompt": TURN}, requestMetadata={"userId": "acct-2", "sessionId": "s"}),
        bedrock({"prompt": TURN}, **numbered),
        bedrock({"inputText": TURN}, modelId="amazon.titan-embed-text-v2:0"),
        INVOCATION | {"input": {"inputBodyS3Path": "s3://bucket/1.json.gz"}},
    )
    assert [(exchange.account, exchange.conversation, exchange.unread) for exchange in found] == [
        ("acct-2", "s", None),
        ("arn:aws:sts::1:assumed-role/gateway", "", None),
        ("arn:aws:sts::1:assumed-role/gateway/acct-1", "", "input.inputBodyS3Path"),
    ]


def test_cloudwatch_in_all_its_envelopes(tmp_path: Path) -> None:
    text = json.dumps(bedrock({"prompt": TURN}))
    subscription = {
        "messageType": "DATA_MESSAGE",
        "logEvents": [{"id": "1", "timestamp": 1, "message": text}] * 2,
    }
    insights = {"results": [[{"field": "@timestamp", "value": AT}, {"field": "@message", "value": text}]]}
    found = of(
        tmp_path, subscription, {"messageType": "CONTROL_MESSAGE"}, {"events": [{"message": text}]}, insights
    )
    assert [exchange.first_user_turn for exchange in found] == [TURN] * 4
    packed = tmp_path / "b.gz"
    packed.write_bytes(gzip.compress(f"{AT} {text}\n".encode() + json.dumps(subscription).encode() * 2))
    assert len(read(packed)[0]) == 5


def test_azure_google_helicone_and_portkey(tmp_path: Path) -> None:
    azure = {
        "records": [
            {
                "time": AT,
                "category": "GatewayLlmLogs",
                "callerIpAddress": "9.9.9.9",
                "userId": "acct-1",
                "properties": {"sequenceNumber": number, "requestMessages": json.dumps(CHAT)},
            }
            for number in range(2)
        ]
    }
    vertex = {
        "logging_time": "2026-09-20 10:00:00 UTC",
        "full_request": json.dumps(
            {
                "contents": [{"role": "user", "parts": [{"text": TURN}]}],
                "systemInstruction": {"parts": [{"text": SYSTEM}]},
                "labels": {"user_id": "acct-1"},
            }
        ),
    }
    batch = {
        "key": "1",
        "request": {
            "contents": [{"parts": [{"text": TURN}]}],
            "system_instruction": {"parts": [{"text": SYSTEM}]},
            "labels": {"user": "acct-1"},
        },
    }
    helicone = {
        "data": [
            {
                "request_id": "r",
                "request_created_at": AT,
                "request_path": "/v1/chat/completions",
                "request_user_id": "acct-1",
                "request_body": {"messages": CHAT},
                "request_properties": {"Helicone-Session-Id": "s"},
            }
        ]
    }
    portkey = {
        "id": "1",
        "created_at": AT,
        "ai_org": "x",
        "ai_model": "m",
        "metadata": {"_user": "acct-1"},
        "request": json.dumps({"messages": CHAT}),
    }
    for document in (azure, vertex, batch, helicone, portkey):
        (exchange,) = of(tmp_path, document)
        assert (exchange.account, exchange.system, exchange.first_user_turn) == ("acct-1", SYSTEM, TURN)


def test_csv_of_langfuse_and_helicone(tmp_path: Path) -> None:
    body = json.dumps(CHAT).replace('"', '""')
    path = tmp_path / "a.csv"
    path.write_text(
        f'id,traceId,type,startTime,userId,sessionId,input\no,t,GENERATION,{AT},acct-1,s,"{body}"\n'
    )
    (exchange,), _ = read(path)
    assert (exchange.account, exchange.conversation, exchange.first_user_turn) == ("acct-1", "s", TURN)
    path.write_text(
        f'request_id,request_created_at,request_user_id,request_body\nr,{AT},acct-1,"{{""messages"": {body}}}"\n'
    )
    assert read(path)[0][0].system == SYSTEM


def test_csv_of_portals(tmp_path: Path) -> None:
    # Names as Log Analytics (Azure's portal) and Logs Insights (CloudWatch) write them.
    body, path = json.dumps(CHAT).replace('"', '""'), tmp_path / "a.csv"
    path.write_text(
        "TenantId,TimeGenerated [UTC],CorrelationId,RequestMessages,SequenceNumber,UserId,Type\n"
        f't,"9/20/2026, 10:00:00.000 AM",c,"{body}",0,acct-1,ApiManagementGatewayLlmLog\n'
    )
    (exchange,), _ = read(path)
    assert (exchange.account, exchange.time, exchange.system) == ("acct-1", 1_789_898_400, SYSTEM)
    invocation = json.dumps(bedrock({"prompt": TURN})).replace('"', '""')
    path.write_text(f'@timestamp,@message\n2026-09-20 10:00:00.000,"{invocation}"\n')
    assert read(path)[0][0].first_user_turn == TURN


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_separates_the_columns_of_csv(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    rows = (("user", "when", "said"), ("acct-1", AT, TURN))
    path.write_text("\ufeff" + "".join(delimiter.join(row) + "\r\n" for row in rows))
    (tmp_path / "m.toml").write_text('account = "user"\ntime = "when"\nfirst_user_turn = "said"\n')
    (exchange,), counts = read(path, read_field_map(tmp_path / "m.toml"))
    assert (exchange.account, exchange.first_user_turn, counts.bad) == ("acct-1", TURN, 0)


def test_spans_of_application_insights(tmp_path: Path) -> None:
    properties = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.input.messages": json.dumps(CHAT),
    }
    workspace = {
        "records": [
            {
                "time": AT, "Type": "AppDependencies", "OperationId": "t", "Id": "s", "UserAuthenticatedId": "acct-1",
                "SessionId": "c", "Properties": json.dumps(properties),
            }
        ]
    }  # fmt: skip
    resource = {
        "timestamp": AT, "itemType": "dependency", "operation_Id": "t", "id": "s", "user_Id": "acct-1",
        "session_Id": "c", "customDimensions": properties,
    }  # fmt: skip
    for document in (workspace, resource):
        (exchange,) = of(tmp_path, document)
        assert (exchange.account, exchange.conversation, exchange.system) == ("acct-1", "c", SYSTEM)
    assert of(tmp_path, resource | {"customDimensions": {"http.method": "GET"}}) == []


def test_pages_of_litellms_spend_logs(tmp_path: Path) -> None:
    row = {
        "request_id": "r", "call_type": "acompletion", "startTime": AT, "user": "acct-1", "session_id": "c",
        "metadata": {}, "messages": CHAT,
    }  # fmt: skip
    page = {"data": [row, row | {"call_type": "aembedding"}, row], "total": 3, "page": 1, "total_pages": 1}
    assert [exchange.account for exchange in of(tmp_path, page)] == ["acct-1", "acct-1"]


def test_counting_tokens_is_no_exchange(tmp_path: Path) -> None:
    row = {"logging_time": AT, "full_request": {"contents": TURN, "labels": {"user_id": "a"}}}
    assert len(of(tmp_path, row | {"api_method": "generateContent"})) == 1
    assert of(tmp_path, row | {"api_method": "countTokens"}) == []


def test_how_else_a_file_may_be_packed(tmp_path: Path) -> None:
    line, path = json.dumps(bedrock({"prompt": TURN})).encode() + b"\n", tmp_path / "a.zst"
    path.write_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstandard.compress(line))  # pzstd
    assert len(read(path)[0]) == 1
    for packed, name in ((bz2.compress(line), "bzip2"), (lzma.compress(line), "xz")):
        path.write_bytes(packed)
        bad = log_reader.BadLines()
        (piece,) = log_reader.cut(input_files.find([str(path)]).sources, 1)
        assert list(log_reader.read(piece, "auto", bad, log_reader.Counts())) == []
        assert [problem.rule for problem in bad.kept] == [
            f"is packed with {name}; unpack it, or pack it with gzip or zstd"
        ]


def test_frames_of_the_collectors_file_exporter(tmp_path: Path) -> None:
    line = json.dumps(bedrock({"prompt": TURN})).encode()
    path = tmp_path / "a.zst"
    frame = zstandard.ZstdCompressor().compress(line)
    path.write_bytes((len(frame).to_bytes(4, "big") + frame) * 3)
    assert len(read(path)[0]) == 3
    path.write_bytes((len(frame).to_bytes(4, "big") + frame) * 3 + b"\0\0")
    found, counts = read(path)
    assert (len(found), counts.bad) == (3, 1)
    proto = zstandard.ZstdCompressor().compress(b"\x0a\x10" + bytes(16))
    path.write_bytes(len(proto).to_bytes(4, "big") + proto)
    assert read(path)[1].bad == 1


def test_a_field_map_with_an_envelope_alternatives_and_values(tmp_path: Path) -> None:
    where = tmp_path / "map.toml"
    where.write_text(
        'records = "page.items"\naccount = "who.id | who.mail"\ntime = "at"\nmessages = "req.messages | req.prompt"\n'
        '[values]\n"contact.email" = "who.mail"\n'
    )
    items = [
        {
            "who": {"id": "acct-1", "mail": "jane@orchards.org"},
            "at": 1_789_898_400_000,
            "req": {"messages": CHAT},
        },
        {"who": {"mail": "joan@orchards.org"}, "at": "1789898400", "req": {"prompt": TURN}},
    ]
    found = of(tmp_path, {"page": {"items": items}}, format=read_field_map(where))
    assert [(exchange.account, exchange.first_user_turn, exchange.time) for exchange in found] == [
        ("acct-1", TURN, 1_789_898_400),
        ("joan@orchards.org", TURN, 1_789_898_400),
    ]
    assert found[0].values == (("contact.email", "jane@orchards.org"),)


def test_the_shipped_field_maps(tmp_path: Path) -> None:
    lines = {
        "kong": {
            "started_at": 1_789_898_400_000,
            "client_ip": "9.9.9.9",
            "consumer": {"username": "acct-1"},
            "ai": {"proxy": {"payload": {"request": json.dumps({"messages": CHAT})}}},
        },
        "databricks": {"request_time": AT, "requester": "acct-1", "request": json.dumps({"messages": CHAT})},
        "cloudflare": {"Timestamp": AT, "Metadata": {"user_id": "acct-1"}, "RequestBody": {"messages": CHAT}},
    }
    assert set(shipped_maps()) == lines.keys()
    for name, line in lines.items():
        (exchange,) = of(tmp_path, line, format=read_field_map(name))
        assert (exchange.account, exchange.system, exchange.first_user_turn) == ("acct-1", SYSTEM, TURN)
        assert exchange.time == 1_789_898_400
