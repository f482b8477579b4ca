"""What an account's rows say: which levels have bands, which templates, how many conversations, which window."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb
import pytest

from tests.ingest import made_logs
from tocsin.client import system
from tocsin.indicators.ptf2.account import place_of
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.shingles import Shingler
from tocsin.indicators.ptf2.template import TEMPLATE, read_skeleton
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest.account_indicators import Row
from tocsin.ingest.ingesting import Options, ingest
from tocsin.ingest.state import opened

COMMON = shipped(CURRENT.common_prompts)
SHINGLER = Shingler(CURRENT)
DAY = 86_400
OTHER = (
    "Translate product sheet {} from the catalogue of garden furniture into plain Dutch, leave every measure as it "
    "stands, turn each heading into one question a buyer might ask, and add three search terms below the last line."
)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "now", lambda: made_logs.TIME + DAY)


def built(tmp_path: Path, name: str, made: list[str], state: Path | None = None, **more: int) -> list[Row]:
    logs, out = made_logs.write(tmp_path / f"{name}.jsonl", made), tmp_path / f"{name}.parquet"
    ingest([str(logs)], out, Options(COMMON, state=state, workers=1, **more))  # type: ignore[arg-type]  # any option by its name
    return [Row(*row) for row in duckdb.execute("SELECT * FROM read_parquet(?)", [str(out)]).fetchall()]


def templates(rows: list[Row]) -> list[tuple[str, frozenset[int], int]]:
    """Name, shingles and conversations of each template row."""
    return [
        (row.value.split(":")[0], frozenset(read_skeleton(TEMPLATE, row.value)[1]), row.conversations)
        for row in rows
        if row.type == TEMPLATE
    ]


def letters(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:03}")


def sentence(number: int, words: int) -> str:
    return " ".join(f"sentence{letters(number)}word{letters(place)}" for place in range(words))


# Sentences by the conversations of ten that have them: a core that all have, then what eight, six, five and four have.
CORE = [range(10)]
EIGHT = [set(range(10)) - {first, first + 1} for first in (0, 2, 4)]
SIX = [range(first, first + 6) for first in range(5)]
FIVE = [range(5), range(5, 10)]
FOUR = [range(4), range(6, 10)]


def layered(parts: list[Collection[int]]) -> tuple[list[str], dict[int, frozenset[int]]]:
    """Return the lines of ten conversations, and the shingles that so many of the ten or more have."""
    sentences = [sentence(number, 14 if len(part) == 10 else 6) for number, part in enumerate(parts)]
    made = []
    for conversation in range(10):
        # Two words of its own after each sentence, so that no shingle spans two sentences of two conversations.
        said = [
            f"{text} own{letters(conversation)}{letters(number)} own{letters(number)}{letters(conversation)}"
            for number, (part, text) in enumerate(zip(parts, sentences, strict=True))
            if conversation in part
        ]
        made.append(made_logs.line("anna", f"c{conversation}", " ".join(said)))
    shared = {
        least: frozenset().union(
            *(
                SHINGLER.hashes(text)
                for part, text in zip(parts, sentences, strict=True)
                if len(part) >= least
            )
        )
        for least in (4, 5, 6, 8, 10)
    }
    return made, shared


def test_the_levels_of_40_and_60_percent_have_bands_and_no_others(tmp_path: Path) -> None:
    made, shared = layered([*CORE, *EIGHT, *SIX, *FIVE, *FOUR])
    assert len(set(shared.values())) == 5
    assert sorted(templates(built(tmp_path, "a", made)), key=lambda template: -len(template[1])) == [
        ("ptf2", shared[4], 10),
        ("ptf2-exact", shared[5], 10),
        ("ptf2", shared[6], 10),
        ("ptf2-exact", shared[8], 10),
        ("ptf2-exact", shared[10], 10),
    ]


def test_a_level_that_is_equal_to_one_with_bands_is_written_once_with_bands(tmp_path: Path) -> None:
    made, shared = layered([*CORE, *EIGHT, *SIX, *FOUR])
    assert shared[5] == shared[6]
    assert sorted(templates(built(tmp_path, "a", made)), key=lambda template: -len(template[1])) == [
        ("ptf2", shared[4], 10),
        ("ptf2", shared[6], 10),
        ("ptf2-exact", shared[8], 10),
        ("ptf2-exact", shared[10], 10),
    ]


def test_each_template_of_an_account_has_a_row_with_its_own_conversations(tmp_path: Path) -> None:
    prompts = [made_logs.TEMPLATE.format(number, "rivers") for number in range(9)]
    prompts += [OTHER.format(number) for number in range(5)]
    prompts.append("Why does my bicycle squeak when it rains?")
    made = [made_logs.line("anna", f"c{number}", prompt) for number, prompt in enumerate(prompts)]
    rows = built(tmp_path, "a", made)
    assert sorted(templates(rows), key=lambda template: -template[2]) == [
        ("ptf2", SHINGLER.hashes(prompts[0]), 9),
        ("ptf2", SHINGLER.hashes(prompts[9]), 5),
    ]
    assert {row.conversations for row in rows if row.type != TEMPLATE} == {15}


@pytest.mark.parametrize(("days", "first"), [(1, 20_608), (5, 20_605), (30, 20_580)])
def test_a_window_begins_on_a_multiple_of_its_length(tmp_path: Path, days: int, first: int) -> None:
    assert made_logs.TIME == 20_608 * DAY
    made = [
        made_logs.line("anna", f"{window}-{n}", made_logs.TEMPLATE.format(n, "rivers"), time=time)
        for window, time in enumerate(
            (first * DAY, made_logs.TIME, (first + days) * DAY - 1, (first + days) * DAY)
        )
        for n in range(4)
    ]
    rows = built(tmp_path, "a", made, window_days=days)
    assert {(row.window, row.exchanges) for row in rows} == {(first * DAY, 12), ((first + days) * DAY, 4)}
    assert {row.window for row in rows if row.type == TEMPLATE} == {first * DAY, (first + days) * DAY}


def test_the_key_alone_chooses_which_conversations_are_looked_at(tmp_path: Path) -> None:
    conversations = [f"c{number}" for number in range(40)]
    keys = [bytes([number]) * 32 for number in (1, 2)]
    chosen = [
        sorted(conversations, key=lambda conversation, key=key: place_of(key, conversation))[:4]
        for key in keys
    ]  # type: ignore[misc]  # bound here
    assert set(chosen[0]) != set(chosen[1])
    logs = [
        [
            made_logs.line(
                "anna",
                conversation,
                made_logs.TEMPLATE.format(1, "rivers") if conversation in four else sentence(number, 40),
            )
            for number, conversation in enumerate(conversations)
        ]
        for four in chosen
    ]
    for number, key in enumerate(keys):
        for other, made in enumerate(logs):
            state = tmp_path / f"state-{number}-{other}"
            with opened(state, 4, 28):
                pass
            (state / "key").write_bytes(key)
            found = templates(built(tmp_path, f"{number}-{other}", made, state, k=4))
            expected = [("ptf2", SHINGLER.hashes(made_logs.TEMPLATE.format(1, "rivers")), 4)]
            assert found == (expected if number == other else [])
