"""Reports for tests that are about something else than what a report says."""

from __future__ import annotations

from typing import Any

from tocsin.client import ReportDraft
from tocsin.client.results import Value
from tocsin.client.system import now
from tocsin.sealing.label import AbuseKind


def report_draft(value: Value, abuse: AbuseKind | str = AbuseKind.RESALE, **fields: Any) -> ReportDraft:
    """A report of a value, seen now and with 80 % confidence unless `fields` say otherwise."""
    return ReportDraft(value, abuse, **{"confidence": 80, "first_seen": now()} | fields)
