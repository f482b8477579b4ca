"""Prompt templates whose bands a test chooses by name, and fewer of them than the real ones have."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tocsin.indicators.ptf2 import bands as ptf2
from tocsin.indicators.ptf2.template import TEMPLATE
from tocsin.indicators.registry import Observable

BANDS, THRESHOLD = 6, 3


def few_bands(monkeypatch: pytest.MonkeyPatch, threshold: int = THRESHOLD) -> None:
    """Let templates have 6 bands, 3 of which open a record."""
    few = replace(ptf2.LONG, bands=BANDS, threshold=threshold)
    monkeypatch.setitem(ptf2.BANDINGS, ptf2.TEMPLATE_BAND, few)


def template(name: str, shared: str = "", own: str = "", places: Sequence[int] = range(BANDS)) -> Observable:
    """A template whose bands at `places` (0 is band 1) are those of every other of the same `shared` there.

    The other bands are its own, or those of `own`.
    """
    texts = [f"{shared if place in places and shared else own or name}" for place in range(BANDS)]
    return Observable(
        TEMPLATE,
        hashlib.sha256(name.encode()).digest(),
        bands=tuple(
            Observable(ptf2.TEMPLATE_BAND, bytes([number]) + hashlib.sha256(text.encode()).digest()[:24])
            for number, text in enumerate(texts, 1)
        ),
    )
