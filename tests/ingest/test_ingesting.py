"""From logs to indicators: what the sample depends on, and what it does not."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.ingest import made_logs
from tocsin.client import system
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.snapshot_files import CURRENT
from tocsin.ingest import account_indicators
from tocsin.ingest.indicators_file import read_indicators
from tocsin.ingest.ingesting import BadOptions, BadOut, Options, Summary, ingest
from tocsin.ingest.local_filter import LOCAL
from tocsin.ingest.spilling import PARTITIONS, spilled_rows
from tocsin.ingest.state import BadState, opened

Rows = list[tuple[object, ...]]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state forgets what is old by the clock; the made logs are of the day before."""
    monkeypatch.setattr(system, "now", lambda: made_logs.TIME + 86_400)


def options(state: Path | None = None, **more: object) -> Options:
    return Options(shipped(CURRENT.common_prompts), state=state, **({"workers": 1} | more))  # type: ignore[arg-type]  # any option by its name


def rows(path: Path) -> Rows:
    found = duckdb.execute("SELECT * FROM read_parquet(?) ORDER BY ALL", [str(path)]).fetchall()
    return [tuple(row) for row in found]


def keyed(state: Path, k: int = 256) -> Path:
    """A state folder with a fixed key, so that two runs sample the same conversations."""
    with opened(state, k, 28):
        pass
    (state / "key").write_bytes(bytes(range(32)))
    return state


def run(tmp_path: Path, name: str, made: list[str], chosen: Options) -> tuple[Rows, Summary]:
    logs, out = made_logs.write(tmp_path / f"{name}.jsonl", made), tmp_path / f"{name}.parquet"
    summary = ingest([str(logs)], out, chosen)
    return rows(out), summary


def test_indicators_of_accounts(tmp_path: Path) -> None:
    found, summary = run(tmp_path, "a", made_logs.lines(), options())
    types = {str(row[1]) for row in found}
    assert types == {"prompt.template", "client.system", "net.ipv4", "net.ipv4-24", "net.ja4"}
    assert (summary.tally.accounts, summary.counts.exchanges) == (6, 6 * 46)
    # 32 of each account are always fingerprinted, and of the others those whose shingles repeat (a random key chooses).
    assert 6 * 32 <= summary.tally.conversations < 6 * 46
    assert {row[0] for row in found if row[1] == "prompt.template"} == {
        f"acct-{number}" for number in range(6)
    }
    for row in found:
        exchanges, conversations, first, last, window, activity = row[3:]
        assert isinstance(first, int)
        assert isinstance(last, int)
        assert 20 <= int(str(conversations)) <= 46
        assert 32 <= int(str(exchanges)) <= 46
        assert int(str(activity), 16).bit_count() == 1
        assert made_logs.TIME <= first < last
        assert window == made_logs.TIME // (28 * 86_400) * 28 * 86_400
    assert sum(summary.tally.values.values()) == len(found)
    assert not list(tmp_path.glob(".tocsin-ingest-*"))
    assert (tmp_path / "a.parquet").stat().st_mode & 0o077 == 0


def test_neither_order_nor_workers_nor_forgetting_change_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_logs.lines()
    expected, _ = run(tmp_path, "whole", made, options(keyed(tmp_path / "s0")))
    backwards, _ = run(tmp_path, "backwards", made[::-1], options(keyed(tmp_path / "s1")))
    # Two accounts are held at most, so all are spilled and forgotten again and again.
    tiny, _ = run(tmp_path, "tiny", made, options(keyed(tmp_path / "s2"), max_accounts=2))
    two, _ = run(tmp_path, "two", made, options(keyed(tmp_path / "s3"), workers=2))
    monkeypatch.setattr(account_indicators, "_SLICE_BYTES", 1_000)
    sliced, _ = run(tmp_path, "sliced", made, options(keyed(tmp_path / "s4")))
    assert backwards == tiny == two == sliced == expected


def test_two_runs_with_a_state_are_one_run(tmp_path: Path) -> None:
    # Of so few candidates all are fingerprinted; of more, each run chooses what repeats in what it reads.
    made = made_logs.lines()
    expected, _ = run(tmp_path, "whole", made, options(keyed(tmp_path / "s0", 32), k=32))
    state = keyed(tmp_path / "s1", 32)
    run(tmp_path, "first", made[: len(made) // 3], options(state, k=32))
    found, _ = run(tmp_path, "second", made[len(made) // 3 :], options(state, k=32))
    assert found == expected
    texts = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"acct-" not in texts
    assert b"grading" not in texts
    assert (state / "key").stat().st_mode & 0o077 == 0


def test_a_state_of_other_settings_or_in_use_is_refused(tmp_path: Path) -> None:
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1))
    state = keyed(tmp_path / "s")
    with pytest.raises(BadState, match="was made with"):
        ingest([str(logs)], tmp_path / "o.parquet", options(state, k=16))
    with opened(state, 256, 28), pytest.raises(BadState, match="another run"):
        ingest([str(logs)], tmp_path / "o.parquet", options(state))
    assert not (tmp_path / "o.parquet").exists()


def test_a_conversation_without_an_id_is_its_opening(tmp_path: Path) -> None:
    made = [made_logs.line("a", "", made_logs.TEMPLATE.format(1, "rivers")) for _ in range(50)]
    _, summary = run(tmp_path, "a", made, options())
    assert summary.tally.conversations == 1


def test_the_earliest_text_of_a_conversation_counts(tmp_path: Path) -> None:
    def made(late_first: bool) -> list[str]:
        early = [made_logs.line("a", f"c{n}", made_logs.TEMPLATE.format(n, "rivers")) for n in range(8)]
        late = [made_logs.line("a", f"c{n}", f"go on {n}", time=made_logs.TIME + 60) for n in range(8)]
        return late + early if late_first else early + late

    one, _ = run(tmp_path, "a", made(True), options(keyed(tmp_path / "s0")))
    other, _ = run(tmp_path, "b", made(False), options(keyed(tmp_path / "s1")))
    assert one == other
    assert any(row[1] == "prompt.template" for row in one)


def test_what_many_accounts_write_is_refused_as_local(tmp_path: Path) -> None:
    made = [
        made_logs.line(f"acct-{account}", f"{account}-{n}", made_logs.TEMPLATE.format(n, "rivers"))
        for account in range(31)
        for n in range(4)
    ]
    found, summary = run(tmp_path, "many", made, options())
    assert not any(row[1] == "prompt.template" for row in found)
    assert summary.tally.refused[LOCAL] == 31
    assert (summary.tally.kept, summary.tally.values["prompt.template"]) == (0, 0)
    few, summary = run(tmp_path, "few", made[: 20 * 4], options())
    assert sum(row[1] == "prompt.template" for row in few) == 20
    assert summary.tally.refused[LOCAL] == 0


def test_bad_lines_are_told_and_strict_writes_nothing(tmp_path: Path) -> None:
    made = [*made_logs.lines(2), "{SECRET", '{"startTime": 1, "call_type": "x"}']
    _, summary = run(tmp_path, "a", made, options())
    assert (summary.counts.bad, len(summary.bad), summary.written) == (2, 2, True)
    assert "SECRET" not in str(summary.bad[0]) + str(summary.bad[1])
    logs = made_logs.write(tmp_path / "b.jsonl", made)
    state = keyed(tmp_path / "s")
    summary = ingest([str(logs)], tmp_path / "b.parquet", options(state, strict=True))
    assert not summary.written
    assert not (tmp_path / "b.parquet").exists()
    assert not list((state / "samples").iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    logs, out = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1)), tmp_path / "o.parquet"
    out.write_text("mine")
    with pytest.raises(BadOut, match="already exists"):
        ingest([str(logs)], out, options())
    assert out.read_text() == "mine"
    for wrong, what in (
        (tmp_path, "is a folder; name a file in it"),
        (tmp_path / "missing" / "o.parquet", "missing does not exist"),
        (out / "o.parquet", "cannot be written to"),
    ):
        with pytest.raises(BadOut, match=what):
            ingest([str(logs)], wrong, options())
    dangling = tmp_path / "link.parquet"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadOut, match="already exists"):
        ingest([str(logs)], dangling, options())


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", "a scratch folder of no interest")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    logs = made_logs.write(tmp_path / "a.jsonl", made_logs.lines(1))
    with pytest.raises(BadOut) as caught:
        ingest([str(logs)], tmp_path / "o.parquet", options())
    assert str(caught.value).startswith(f"{tmp_path}: cannot be written to (Permission denied)")


def test_addresses_of_any_length_do_not_stay_in_memory(tmp_path: Path) -> None:
    long = [
        made_logs.line(
            "a",
            f"c{n}",
            "hello there you",
            metadata={"user_api_key_user_id": "a", "requester_ip_address": f"{n}" + "1" * 1_000_000},
        )
        for n in range(3)
    ]
    state = keyed(tmp_path / "s")
    _, summary = run(tmp_path, "a", long, options(state))
    assert summary.tally.refused.total() > 0
    with opened(state, 256, 28) as open_state:
        kept = [
            row
            for number in range(PARTITIONS)
            for row in spilled_rows(open_state.samples, number, open_state.sealing_key)
        ]
    assert [max(len(value) for _, value, *_ in row[6]) for row in kept] == [256]


def test_logs_without_anything_make_an_empty_file(tmp_path: Path) -> None:
    found, summary = run(tmp_path, "a", [], options())
    assert (found, summary.tally.accounts, summary.written) == ([], 0, True)


@pytest.mark.parametrize(
    ("name", "value"), [("k", 0), ("k", 1025), ("window_days", 0), ("workers", 0), ("local_percent", 0)]
)
def test_options_that_cannot_be(name: str, value: int) -> None:
    with pytest.raises(BadOptions, match=name.replace("_", "-")):
        options(None, **{name: value})


def test_values_are_read_once_for_all_accounts_and_windows(tmp_path: Path) -> None:
    late = [
        made_logs.line(
            "acct-0", f"late-{n}", made_logs.TEMPLATE.format(n, "rivers"), time=made_logs.TIME + 40 * 86_400
        )
        for n in range(5)
    ]
    run(tmp_path, "a", [*made_logs.lines(2), *late], options())
    found = {(row.type, row.value): row for row in read_indicators(tmp_path / "a.parquet")}
    ja4 = next(item for (type, _), item in found.items() if type == "net.ja4")
    assert (ja4.accounts, ja4.exchanges) == (("acct-0", "acct-1"), 46 + 46 + 5)
    assert (ja4.first_seen, ja4.last_seen) == (made_logs.TIME, made_logs.TIME + 40 * 86_400)
    only = read_indicators(tmp_path / "a.parquet", ["acct-1"])
    assert {row.accounts for row in only} == {("acct-1",)}
