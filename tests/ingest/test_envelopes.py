"""What log systems wrap around a gateway's document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin.ingest.formats import FORMATS, detect_format
from tocsin.ingest.formats.envelopes import unwrap

TURN = "Which ferries leave before noon?"
INVOCATION: dict[str, Any] = {
    "schemaType": "ModelInvocationLog",
    "timestamp": "2026-09-20T10:00:00Z",
    "modelId": "cohere.command-r-v1:0",
    "requestMetadata": {"user_id": "acct-1"},
    "input": {"inputBodyJson": {"message": TURN}},
}
TEXT = json.dumps(INVOCATION)


@pytest.mark.parametrize(
    "document",
    [
        {"id": "1", "timestamp": 1_790_000_000_000, "message": TEXT},
        {"date": 1.1, "log": TEXT, "stream": "stdout", "kubernetes": {"pod_name": "gateway"}},
        {"@timestamp": "2026-09-20T10:00:00Z", "message": TEXT, "agent": {}},
        {"logName": "projects/p/logs/l", "textPayload": TEXT},
        {"logName": "projects/p/logs/l", "jsonPayload": INVOCATION},
        {"_index": "i", "_id": "1", "_source": INVOCATION},
        {"took": 1, "hits": {"total": {}, "hits": [{"_index": "i", "_source": INVOCATION}]}},
        {"time": 1, "host": "h", "sourcetype": "_json", "event": INVOCATION},
        {"preview": False, "result": {"_raw": TEXT, "_time": "x"}},
        {"version": "0", "detail-type": "x", "source": "aws.bedrock", "detail": INVOCATION},
        {"@timestamp": "2026-09-20 10:00:00.000", "@message": TEXT},  # a row of the CSV of Logs Insights
        {
            "tables": [
                {
                    "name": "PrimaryResult",
                    "columns": [{"name": n} for n in INVOCATION],
                    "rows": [[*INVOCATION.values()]],
                }
            ]
        },
        {"success": True, "errors": [], "result": [INVOCATION]},
        INVOCATION,
    ],
)
def test_envelopes_are_opened(document: dict[str, Any]) -> None:
    (opened,) = unwrap(document)
    (exchange,) = FORMATS[detect_format(opened)](opened)
    assert (exchange.account, exchange.first_user_turn) == ("acct-1", TURN)


@pytest.mark.parametrize(
    "document",
    [
        {"timestamp": 1, "message": "no JSON"},
        {"timestamp": 1, "message": f"error in {TEXT}"},
        {"message": TEXT},
        {"event": INVOCATION},
        {"detail": INVOCATION},
    ],
)
def test_what_is_no_envelope_is_the_document(document: dict[str, Any]) -> None:
    assert list(unwrap(document)) == [document]


def test_a_column_of_portkeys_export_holds_the_request() -> None:
    log = {
        "created_at": "2026-09-20T10:00:00Z",
        "ai_org": "openai",
        "ai_model": "m",
        "request.body": json.dumps({"messages": [{"role": "user", "content": TURN}]}),
        "metadata": {"_user": "acct-1"},
    }
    (exchange,) = FORMATS[detect_format(log)](log)
    assert (exchange.account, exchange.first_user_turn) == ("acct-1", TURN)
