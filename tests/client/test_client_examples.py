"""The examples in the docstrings run as they stand, against real nodes."""

from __future__ import annotations

import doctest

import pytest

from tests.federation import Federation
from tocsin.client import Client, ReportDraft, client


def test_the_examples_run(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(federation.homes[0].folder)
    found = doctest.testmod(client, extraglobs={"Client": Client, "ReportDraft": ReportDraft})
    assert found.attempted >= 6
    assert found.failed == 0


def test_two_lines_suffice(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(federation.homes[1].folder)
    with Client.connect("client/") as tocsin:
        print(tocsin.query([("contact.email", "a@example.com")]).matches)
