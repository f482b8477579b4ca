"""`tocsin ingest`: logs to indicators, on several cores, in memory that does not grow with the logs.

1. Phase 1 reads the pieces of the logs; a worker takes one piece after the other and spills (see `sampling`).
2. Phase 2 settles the partitions; a worker takes one after the other (see `settling`).
3. Then all is put into one Parquet file. It is there whole or not at all, and so is the state.
4. Spilled texts are sealed under a key that only this run holds, in a folder beside the output that is removed at the
   end, also after an error or an interrupt; only a run that is killed leaves it, `.tocsin-ingest-*`, to be removed by
   hand.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import orjson

from tocsin.client.system import random_bytes
from tocsin.detect import state as states
from tocsin.detect.indicators_file import LOCAL, write_indicators
from tocsin.detect.ingest import reading
from tocsin.detect.ingest.formats import FieldMap
from tocsin.detect.sampling import DEFAULT_K, DEFAULT_WINDOW_DAYS, MAX_ACCOUNTS, Sampler
from tocsin.detect.settling import Settings, Settler, Tally, as_objects
from tocsin.detect.spilling import KEY_BYTES, PARTITIONS, Spill
from tocsin.indicators.ptf1.account import MAX_SAMPLE
from tocsin.indicators.ptf1.common_list import CommonList
from tocsin.indicators.ptf1.shingles import Shingler
from tocsin.indicators.refusal import Mode
from tocsin.indicators.snapshot_files import CURRENT

SHOWN = 20
"""How many bad lines are kept word for word."""
_PIECES_EACH = 4
_TOLD_RECORDS = 4_096
_TOLD_SECONDS = 0.5

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

Told = Callable[[str, int, int], None]
"""Called with `records` or `partitions`, how many are done, and how many there are (0 where nobody knows)."""


class BadOptions(ValueError):
    """Options of a run that cannot be; the message names the option."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is made. `format` is a format's name, `auto` or a field map."""

    common: CommonList
    format: str | FieldMap = reading.AUTO
    k: int = DEFAULT_K
    window_days: int = DEFAULT_WINDOW_DAYS
    local_percent: float = 5.0
    state: Path | None = None
    workers: int = 2
    strict: bool = False
    mode: Mode = Mode.LIVE
    max_accounts: int = MAX_ACCOUNTS

    def __post_init__(self) -> None:
        for name, value, most in (
            ("k", self.k, MAX_SAMPLE),
            ("window-days", self.window_days, 366),
            ("workers", self.workers, 256),
        ):
            if not 1 <= value <= most:
                raise BadOptions(f"--{name} must be 1 to {most}")
        if not 0 < self.local_percent <= 100:
            raise BadOptions("--local-percent must be more than 0 and at most 100")


@dataclass(slots=True)
class Summary:
    """What a run did. With `written` False it was strict and met bad lines: nothing was written."""

    counts: reading.Counts = field(default_factory=reading.Counts)
    bad: list[reading.BadLine] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    written: bool = False
    peak_mib: float = 0.0
    """The most memory of all processes of the hungrier phase together."""


def ingest(inputs: Sequence[str], out: Path, options: Options, told: Told | None = None) -> Summary:
    """Make the file of indicators `out` of logs. Raises `Unreadable`, `BadState`, `BadSpill`, FileExistsError."""
    if out.exists():
        raise FileExistsError(17, "File exists", str(out))
    if not out.parent.is_dir():
        raise FileNotFoundError(2, "No such folder", str(out.parent))
    report = told or (lambda what, done, total: None)
    summary = Summary()
    with _state(options) as state, TemporaryDirectory(prefix=".tocsin-ingest-", dir=out.parent) as scratch:
        folder = Path(scratch)
        (folder / "spill").mkdir()
        run = _Run(
            folder,
            random_bytes(KEY_BYTES),
            Settings(
                random_bytes(KEY_BYTES) if state is None else state.key,
                options.k,
                options.window_days,
                options.common,
                options.mode,
            ),
            options,
            state,
        )
        pieces = reading.pieces(inputs, options.workers * _PIECES_EACH)
        # Another process has another standard input.
        inline = options.workers == 1 or any(each.path == reading.STANDARD_INPUT for each in pieces)
        for found in _spread(1 if inline else options.workers, _read, run, pieces, "records", report):
            summary.counts.merge(found.counts)
            summary.bad.extend(found.bad)
            summary.peak_mib += found.peak_mib
        order = {each.path: place for place, each in enumerate(pieces)}
        summary.bad.sort(key=lambda each: (order.get(each.file, 0), *_natural(each.place)))
        del summary.bad[SHOWN:]
        if options.strict and summary.counts.bad:
            return summary
        peak = 0.0
        for tally, more in _spread(
            options.workers, _settle, run, list(range(PARTITIONS)), "partitions", report
        ):
            summary.tally.merge(tally)
            peak += more
        parts = sorted(folder.glob("rows-*"))
        local = write_indicators(parts, out, summary.tally.accounts, options.local_percent)
        for type, count in local.items():
            summary.tally.values[type] -= count
            summary.tally.kept -= count
            summary.tally.refused[LOCAL] += count
        if state is not None:
            state.put_in_place()
        own = _peak()
        summary.peak_mib = own + (max(summary.peak_mib, peak) if options.workers > 1 else 0)
        summary.written = True
    return summary


@dataclass(frozen=True, slots=True)
class _Run:
    """What every worker knows."""

    folder: Path
    key: bytes = field(repr=False)
    settings: Settings
    options: Options
    state: states.State | None


@dataclass(slots=True)
class _Read:
    counts: reading.Counts
    bad: list[reading.BadLine]
    peak_mib: float


class _Shared:
    """What the workers of one phase share: whose turn it is, and how much is done."""

    def __init__(self, context: Any = multiprocessing) -> None:
        self._next, self._done = context.Value("q", 0), context.Value("q", 0)

    def next(self) -> int:
        with self._next.get_lock():
            place = self._next.value
            self._next.value = place + 1
        return int(place)

    def more(self, count: int) -> None:
        with self._done.get_lock():
            self._done.value += count

    def done(self) -> int:
        return int(self._done.value)


_shared: list[_Shared] = []
"""In a worker: what it shares with the others. It can be handed over only where a process starts."""


def _start(shared: _Shared) -> None:
    _shared[:] = [shared]


def _spread(
    workers: int,
    work: Callable[[_Run, Sequence[_Item], int], _Result],
    run: _Run,
    items: Sequence[_Item],
    what: str,
    told: Told,
) -> list[_Result]:
    """Let workers do items, each takes the next when it is done with one; return what each of them made."""
    total = len(items) if what == "partitions" else 0
    if workers == 1:
        shared = _Shared()
        _start(shared)
        result = work(run, items, 0)
        told(what, shared.done(), total)
        return [result]
    # Not forked: a progress bar is a thread, and a fork with threads may hang.
    context = multiprocessing.get_context("spawn")
    shared = _Shared(context)
    with ProcessPoolExecutor(workers, context, _start, (shared,)) as pool:
        waiting: set[Future[_Result]] = {pool.submit(work, run, items, number) for number in range(workers)}
        futures = list(waiting)
        while waiting:
            _, waiting = wait(waiting, _TOLD_SECONDS, FIRST_COMPLETED)
            told(what, shared.done(), total)
        return [each.result() for each in futures]


def _turns(items: Sequence[_Item]) -> Iterator[_Item]:
    while (place := _shared[0].next()) < len(items):
        yield items[place]


def _read(run: _Run, pieces: Sequence[reading.Piece], worker: int) -> _Read:
    """Phase 1, one worker's share."""
    counts, bad = reading.Counts(), reading.BadLines(SHOWN)
    spill = Spill(run.folder / "spill", worker, run.key)
    options = run.options
    sampler = Sampler(run.settings.key, spill, options.k, options.window_days, options.max_accounts)
    for piece in _turns(pieces):
        records = reading.read(piece, options.format, bad, counts)
        while took := sampler.take(islice(records, _TOLD_RECORDS)):
            _shared[0].more(took)
    sampler.flush()
    spill.close()
    return _Read(counts, bad.kept, _peak())


def _settle(run: _Run, partitions: Sequence[int], worker: int) -> tuple[Tally, float]:
    """Phase 2, one worker's share."""
    tally = Tally()
    settler = Settler(run.settings, Shingler(CURRENT))
    state = run.state
    kept = None if state is None else Spill(state.fresh, worker, state.sealing_key)
    earlier = None if state is None else (state.samples, state.sealing_key)
    handle = os.open(run.folder / f"rows-{worker}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb", buffering=1 << 20) as file:
        for number in _turns(partitions):
            rows = settler.partition(number, (run.folder / "spill", run.key), tally, earlier, kept)
            for row in as_objects(rows):
                file.write(orjson.dumps(row) + b"\n")
            _shared[0].more(1)
    if kept is not None:
        kept.close()
    return tally, _peak()


@contextmanager
def _state(options: Options) -> Iterator[states.State | None]:
    if options.state is None:
        yield None
        return
    with states.opened(options.state, options.k, options.window_days) as state:
        yield state


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1 << 20
    )


def _natural(place: str) -> tuple[str, int]:
    unit, _, number = place.rpartition(" ")
    return unit, int(number) if number.isdigit() else 0
