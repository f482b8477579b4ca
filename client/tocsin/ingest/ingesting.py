"""`tocsin ingest`: logs to indicators, on several cores, in memory that does not grow with the logs.

1. Phase 1 reads the pieces of the logs; each worker takes the next piece when it is done with one, and spills (see
   `sampling`).
2. Phase 2 turns the partitions into indicators; workers take them in the same way (see `account_indicators`).
3. Everything is then written to one Parquet file. The file is complete or absent, and so is the state.
4. Spilled texts are sealed under a key that only this run holds, in a folder beside the output. Workers are stopped and
   the folder is removed at the end, also after an error, an interrupt or SIGTERM, for which the command raises. Only a
   run that is killed in another way leaves the folder, `.tocsin-ingest-*`, to be removed by hand.
5. With a state, a log that an earlier run read is not read again (see `already_read`), and a run that finds nothing new
   still writes what is in the state.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import orjson

from tocsin.client.system import random_bytes
from tocsin.indicators.ptf2.account import MAX_SAMPLE, BadSample
from tocsin.indicators.ptf2.common_list import CommonList
from tocsin.indicators.ptf2.template import SYSTEM, TEMPLATE
from tocsin.indicators.refusal import Mode
from tocsin.ingest import input_files, log_reader
from tocsin.ingest import state as states
from tocsin.ingest.account_indicators import IndicatorBuilder, Settings, Tally, as_objects
from tocsin.ingest.already_read import AlreadyRead
from tocsin.ingest.formats import FieldMap
from tocsin.ingest.indicators_file import write_indicators
from tocsin.ingest.local_filter import LOCAL_PERCENT, local_shingles, without_local
from tocsin.ingest.read_report import to_tell
from tocsin.ingest.sampling import DEFAULT_K, DEFAULT_WINDOW_DAYS, MAX_ACCOUNTS, Sampler
from tocsin.ingest.spilling import KEY_BYTES, PARTITIONS, BadSpill, Spill

SHOWN = 20
"""How many bad lines are reported in full, besides problems of whole files."""
ALIKE = 3
"""How many of them, at most, for one file and rule."""
_PIECES_PER_WORKER = 4
_REPORT_EXCHANGES = 4_096
_REPORT_SECONDS = 0.5
_MAX_TEXTS = 512

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

Progress = Callable[[str, int, int], None]
"""Called with what is counted (such as `exchanges`), how many are done, and how many there are (0 where unknown)."""


class BadOptions(ValueError):
    """An option of a run has an invalid value; the message names the option."""


class BadOut(ValueError):
    """An output that cannot be written; the message names it."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run. `format` is a format's name, `auto` or a field map."""

    common: CommonList
    format: str | FieldMap = log_reader.AUTO
    k: int = DEFAULT_K
    window_days: int = DEFAULT_WINDOW_DAYS
    local_percent: float = LOCAL_PERCENT
    state: Path | None = None
    workers: int = 2
    strict: bool = False
    mode: Mode = Mode.LIVE
    max_accounts: int = MAX_ACCOUNTS
    trusted_hops: int | None = None
    """Which address of a list counts: the n-th from the right (see `addresses`)."""

    def __post_init__(self) -> None:
        for name, value, most in (
            ("k", self.k, MAX_SAMPLE),
            ("window-days", self.window_days, 366),
            ("workers", self.workers, 256),
        ):
            if not 1 <= value <= most:
                raise BadOptions(f"--{name} must be 1 to {most}")
        if self.trusted_hops is not None and not 1 <= self.trusted_hops <= 64:
            raise BadOptions("--trusted-hops must be 1 to 64")
        if not 0 < self.local_percent <= 100:
            raise BadOptions("--local-percent must be more than 0 and at most 100")


@dataclass(slots=True)
class Summary:
    """What a run did. `written` is False where nothing was written: there were bad lines, and the run was strict, or
    neither it nor an earlier run could read any other line."""

    counts: log_reader.Counts = field(default_factory=log_reader.Counts)
    bad: list[log_reader.BadLine] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    passed_over: Counter[str] = field(default_factory=Counter)
    """Files in the folders that were skipped because their endings are not those of logs, by ending."""
    read_before: int = 0
    """Files that earlier runs with the state read."""
    continued: int = 0
    """Files that grew since an earlier run with the state; only the new part was read."""
    changed: list[str] = field(default_factory=list)
    """Files that were cut, refilled or replaced after they were read; the state does not remember them."""
    forgotten: int = 0
    """Files that the state has no room to remember."""
    written: bool = False
    peak_mib: float = 0.0
    """Peak memory of all processes together, in the phase that used more."""


def ingest(inputs: Sequence[str], out: Path, options: Options, progress: Progress | None = None) -> Summary:
    """Read logs and write their indicators to `out`. Raises `Unreadable`, `BadState`, `BadSpill`, `BadOut`."""
    report = progress or (lambda what, done, total: None)
    summary = Summary()
    with _scratch(out) as scratch, _state(options) as state:
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
        files = input_files.find(inputs)
        summary.passed_over = files.passed_over
        already_read = None if state is None else AlreadyRead(state)
        sources = files.sources
        if already_read is not None:
            sources = already_read.rest_of(sources)
            summary.read_before, summary.continued = already_read.skipped, already_read.continued
        pieces = log_reader.cut(sources, options.workers * _PIECES_PER_WORKER)
        # A worker process does not have this process's standard input.
        inline = options.workers == 1 or any(piece.path == log_reader.STANDARD_INPUT for piece in pieces)
        read = _spread(1 if inline else options.workers, _read, run, pieces, "exchanges", report)
        for share in read:
            summary.counts.merge(share.counts)
            summary.peak_mib += share.peak_mib
        order = {piece.path: place for place, piece in enumerate(pieces)}
        summary.bad = to_tell([share.bad for share in read], order, SHOWN, ALIKE)
        unbroken = summary.counts.used - summary.counts.broken
        if already_read is not None:
            summary.changed = sorted(already_read.changed(unbroken))
        any_read = summary.counts.exchanges or summary.read_before or summary.continued
        if summary.counts.bad and (options.strict or not any_read):
            return summary
        peak = 0.0
        try:
            built = _spread(options.workers, _build, run, list(range(PARTITIONS)), "partitions", report)
        except BadSpill as error:
            if state is not None and error.path.parent == state.samples:
                raise states.BadState(f"{error}; {states.ELSE}") from None
            raise
        except BadSample as error:
            raise states.BadState(f"{options.state}: {error}; {states.ELSE}") from None
        for part in built:
            summary.tally.merge(part.tally)
            peak += part.peak_mib
        parts = sorted(folder.glob("rows-*"))
        local = local_shingles(
            (part.shingles for part in built), summary.tally.accounts, options.local_percent
        )
        if local:
            parts = [_filtered(path, local, options.common, summary.tally) for path in parts]
        write_indicators(parts, out)
        if state is not None and already_read is not None:
            already_read.write(unbroken.difference(summary.changed))
            state.put_in_place()
            summary.forgotten = already_read.forgotten
        summary.peak_mib = _peak() + (max(summary.peak_mib, peak) if options.workers > 1 else 0)
        summary.written = True
    return summary


@dataclass(frozen=True, slots=True)
class _Run:
    """What every worker is given."""

    folder: Path
    key: bytes = field(repr=False)
    settings: Settings
    options: Options
    state: states.State | None


@dataclass(slots=True)
class _Read:
    counts: log_reader.Counts
    bad: log_reader.BadLines
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
"""In a worker: what it shares with the others. It can be passed only when a process starts."""


def _start(shared: _Shared) -> None:
    _shared[:] = [shared]


def _spread(
    workers: int,
    work: Callable[[_Run, Sequence[_Item], int], _Result],
    run: _Run,
    items: Sequence[_Item],
    what: str,
    report: Progress,
) -> list[_Result]:
    """Spread items over workers, which take the next one when done; return the result of each worker."""
    total = len(items) if what == "partitions" else 0
    report(what, 0, total)  # marks the start of the phase, from which the rate is computed
    if workers == 1:
        shared = _Shared()
        _start(shared)
        result = work(run, items, 0)
        report(what, shared.done(), total)
        return [result]
    # Not forked: a progress bar is a thread, and a fork with threads may hang.
    context = multiprocessing.get_context("spawn")
    shared = _Shared(context)
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, _start, (shared,)) as pool:
        try:
            futures: list[Future[_Result]] = []
            futures.extend(pool.submit(work, run, items, number) for number in range(workers))
            waiting = set(futures)
            while waiting:
                ended, waiting = wait(waiting, _REPORT_SECONDS, FIRST_COMPLETED)
                report(what, shared.done(), total)
                for future in ended:
                    future.result()
            return [future.result() for future in futures]
        except BaseException:
            # Leaving the pool would wait until the workers have finished their current items.
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _turns(items: Sequence[_Item]) -> Iterator[_Item]:
    while (place := _shared[0].next()) < len(items):
        yield items[place]


def _read(run: _Run, pieces: Sequence[log_reader.Piece], worker: int) -> _Read:
    """Phase 1, one worker's share."""
    counts, bad = log_reader.Counts(), log_reader.BadLines(SHOWN * ALIKE, ALIKE)
    spill = Spill(run.folder / "spill", worker, run.key)
    options = run.options
    sampler = Sampler(run.settings.key, spill, options.k, options.window_days, options.max_accounts)
    for piece in _turns(pieces):
        exchanges = log_reader.read(piece, options.format, bad, counts, options.trusted_hops)
        while took := sampler.take(islice(exchanges, _REPORT_EXCHANGES)):
            _shared[0].more(took)
    sampler.flush()
    spill.close()
    return _Read(counts, bad, _peak())


@dataclass(frozen=True, slots=True)
class _Built:
    tally: Tally
    shingles: dict[int, int] = field(repr=False)
    """The shingles that may be local, and how many accounts have each."""
    peak_mib: float


def _build(run: _Run, partitions: Sequence[int], worker: int) -> _Built:
    """Phase 2, one worker's share."""
    tally = Tally()
    builder = IndicatorBuilder(run.settings)
    state = run.state
    kept = None if state is None else states.Keeper(state, worker)
    earlier = None if state is None else (state.samples, state.sealing_key)
    handle = os.open(run.folder / f"rows-{worker}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb", buffering=1 << 20) as file:
        for number in _turns(partitions):
            rows = builder.partition(number, (run.folder / "spill", run.key), tally, earlier, kept)
            for row in as_objects(rows):
                file.write(orjson.dumps(row) + b"\n")
            _shared[0].more(1)
    if kept is not None:
        kept.close()
    return _Built(tally, builder.shingles.frequent(), _peak())


def _filtered(path: Path, local: frozenset[int], common: CommonList, tally: Tally) -> Path:
    """Rewrite the rows without local shingles; return the new file. An account has a value once in a window."""
    target = path.with_name(f"kept-{path.name}")
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # Tools give the same system prompt to many accounts.
    without = lru_cache(_MAX_TEXTS)(partial(without_local, local=local, common=common))
    written: set[tuple[str, str]] = set()
    at: tuple[str, int] | None = None
    with path.open("rb") as rows, os.fdopen(handle, "wb", buffering=1 << 20) as file:
        for line in rows:
            row = orjson.loads(line)
            if row["type"] in (TEMPLATE, SYSTEM):
                if at != (row["account"], row["window"]):
                    at = row["account"], row["window"]
                    written.clear()
                type = row["type"]
                row["value"], refused = without(type, row["value"])
                if refused or (type, row["value"]) in written:
                    tally.values[type] -= 1
                    tally.kept -= 1
                    if refused:
                        tally.refused[refused] += 1
                    continue
                written.add((type, row["value"]))
                file.write(orjson.dumps(row) + b"\n")
            else:
                file.write(line)
    path.unlink()
    return target


@contextmanager
def _scratch(out: Path) -> Iterator[str]:
    if out.is_dir():
        raise BadOut(f"{out} is a folder; name a file in it")
    if os.path.lexists(out):
        raise BadOut(f"{out} already exists; name a new file, existing files are never overwritten")
    if not out.parent.exists():
        raise BadOut(f"{out.parent} does not exist; create it, or name a file in another folder")
    try:
        scratch = TemporaryDirectory(prefix=".tocsin-ingest-", dir=out.parent)
    except OSError as error:
        raise BadOut(
            f"{out.parent}: cannot be written to ({error.strerror}); name a file in another folder"
        ) from None
    with scratch as folder:
        yield folder


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
