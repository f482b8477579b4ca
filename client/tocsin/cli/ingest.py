"""`tocsin ingest`: values to screen and report, from a gateway's logs.

SIGTERM ends a run as an interrupt does: workers end, the scratch folder is removed, and neither output nor state is
left half written. The exit code is 143.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.extras import how_to_install
from tocsin.cli.output import Json, counted, fail, note, print_json, print_table, warn
from tocsin.cli.termination import ended_by_sigterm

if TYPE_CHECKING:
    from tocsin.indicators.ptf2.common_list import CommonList
    from tocsin.ingest.account_indicators import Tally
    from tocsin.ingest.formats import FieldMap
    from tocsin.ingest.ingesting import Summary
    from tocsin.ingest.log_reader import BadLine, Counts

EXIT_INPUT = 2
_SHOWN_ENDINGS = 5
_LONGEST_NAME = 64

Logs = Annotated[
    str,
    Parameter(
        allow_leading_hyphen=True,
        help="Files (JSON lines, CSV, gzip, zstd, Parquet), folders (their files ending in .json, .jsonl, .ndjson, "
        ".csv, .gz, .zst and .parquet), or `-` for standard input.",
    ),
]
Format = Annotated[
    str,
    Parameter(
        help="auto, litellm, otlp, openinference, langfuse, bedrock, azure, google, langsmith, helicone, portkey, "
        "phoenix, jaeger, console, openai-batch or anthropic-batch; docs/formats.md says what each reads.",
    ),
]
FieldMapFile = Annotated[
    Path | None,
    Parameter(
        help="TOML file that says where each field is, for any other format; or `kong`, `databricks` or `cloudflare`, "
        "which come with Tocsin."
    ),
]
CommonFile = Annotated[
    Path | None, Parameter(help="List of common shingles to use; by default the one that is shipped.")
]
StateFolder = Annotated[
    Path | None,
    Parameter(
        help="Folder that keeps the sample, its key and what was read from run to run; a log that is named again is "
        "read from where the last run ended.",
    ),
]


class BadFormat(ValueError):
    """A format that does not exist, or two ways to name it."""


class ExtraMissing(ValueError):
    """The extra `detect` is not installed."""


def ingest(
    *logs: Logs,
    out: Annotated[Path, Parameter(help="File of indicators to write; it must not exist.")],
    format: Format = "auto",
    field_map: FieldMapFile = None,
    k: Annotated[int, Parameter(help="Conversations sampled of each account and window.")] = 256,
    window_days: Annotated[int, Parameter(help="Length of a window.")] = 28,
    common: CommonFile = None,
    local_percent: Annotated[
        float, Parameter(help="Drop shingles that more of your accounts than this have in a skeleton.")
    ] = 2.0,
    state: StateFolder = None,
    workers: Annotated[int, Parameter(help="Processes.")] = 2,
    trusted_hops: Annotated[
        int | None,
        Parameter(
            help="Of a list of addresses (X-Forwarded-For), use the one that this many of your proxies from the "
            "right saw; without it, the right-most public one. The left-most is the client's word."
        ),
    ] = None,
    strict: Annotated[bool, Parameter(negative=(), help="Write nothing if any line is bad.")] = False,
    test: Annotated[
        bool,
        Parameter(negative=(), help="Accept documentation and test ranges, as a charter in test mode does."),
    ] = False,
    json: Json = False,
) -> int:
    """Write a file of indicators from a gateway's logs, for `tocsin query --from` and `tocsin submit --from`.

    Nothing leaves this machine. Prompts are sampled and hashed; none is in the file. Invalid lines are reported and
    skipped.

    Example: tocsin ingest logs/ --out indicators.parquet

    Exit codes: 0 done; 2 nothing was written (lines were bad and --strict was given, or all were and no log was read
    before), or the input is unusable; 143 ended by SIGTERM.
    """
    need_extra()
    from tocsin.indicators.refusal import Mode
    from tocsin.ingest.ingesting import Options
    from tocsin.ingest.ingesting import ingest as run

    if not logs:
        raise BadFormat("nothing to read: name files, folders, or `-` for standard input")
    options = Options(
        common_list(common),
        format_of(format, field_map),
        k,
        window_days,
        local_percent,
        state,
        workers,
        strict,
        Mode.TEST if test else Mode.LIVE,
        trusted_hops=trusted_hops,
    )
    rates = Rates()
    with ended_by_sigterm():
        summary = run(logs, out, options, rates)
    rates.end()
    if json:
        print_json(_document(summary))
    else:
        _table(summary)
    warn_skipped(summary.passed_over)
    for path in summary.changed:
        warn(
            f"{path}: was cut, refilled or replaced during this run; it is not remembered as read and will be "
            "counted again"
        )
    if summary.forgotten:
        warn(
            f"the state has no room to remember {counted(summary.forgotten, 'file')}, which would be counted again: "
            "name only new logs"
        )
    counts = summary.counts
    warn_unread(counts, mapped=field_map is not None)
    warn_addresses(summary.tally)
    warn_bad(summary.bad, counts.bad)
    if not summary.written:
        why = "--strict" if strict else no_line_read(counts, mapped=field_map is not None)
        fail(f"{counted(counts.bad, 'bad line')}: nothing was written ({why})")
        return EXIT_INPUT
    return 0


def no_line_read(counts: Counts, *, mapped: bool) -> str:
    """Say that no line could be read and, if the format is why, how to fix it."""
    if not counts.unfit:
        return "no line could be read"
    fix = "fix the field map" if mapped else "name another --format, or give a --field-map"
    return f"no line could be read: {fix}"


def warn_bad(shown: Sequence[BadLine], total: int) -> None:
    """Report bad lines, of which there are `total` in all."""
    for bad in shown:
        warn(str(bad))
    if total > len(shown):
        others = total - sum(bad.count + bad.more for bad in shown)
        unlike = f", {others:,} of them in other files or for other reasons" if others else ""
        warn(f"{counted(total, 'bad line')} in all{unlike}")


def warn_unread(counts: Counts, *, mapped: bool) -> None:
    """Say what share of the exchanges has no content that could be read, and where it may be."""
    if not counts.without_content:
        return
    if counts.without_content == counts.exchanges and counts.unread is None:
        fields = ", or the field map names fields that the exchanges do not have" if mapped else ""
        warn(f"no exchange has content: content capture is off{fields}")
        return
    where = "they have no field for it: content capture may be off there"
    if counts.unread is not None:
        name = "".join(letter if letter.isprintable() else "?" for letter in counts.unread[:_LONGEST_NAME])
        where = f"the first such attribute is `{name}`"
    warn(f"{_share(counts.without_content, counts.exchanges)} of exchanges have no readable content; {where}")


def _share(part: int, whole: int) -> str:
    percent = round(100 * part / whole)
    if percent == 0:
        return "Fewer than 1 %"
    return "More than 99 %" if percent == 100 and part < whole else f"{percent} %"


def warn_addresses(tally: Tally) -> None:
    """Say that most addresses were refused: a proxy's own, most likely."""
    refused = sum(count for rule, count in tally.refused.items() if rule.startswith("ip."))
    kept = tally.values["net.ipv4"] + tally.values["net.ipv6-64"]
    if refused > kept:
        warn(
            f"{counted(refused, 'address is', 'addresses are')} refused, {kept:,} kept: the log may hold a proxy's "
            "address; have the gateway log the client's, or say with --trusted-hops which one of a list it is"
        )


def warn_skipped(endings: Mapping[str, int]) -> None:
    """Say which files of folders were not read, by ending."""
    if not endings:
        return
    ordered = sorted(endings, key=lambda ending: (-endings[ending], ending))
    shown = [f"{ending or 'no ending'} ({endings[ending]:,})" for ending in ordered[:_SHOWN_ENDINGS]]
    more = ["and others"] if len(ordered) > len(shown) else []
    files = counted(sum(endings.values()), "file is", "files are")
    warn(f"{files} skipped in the folders: {', '.join(shown + more)}; name those that are logs one by one")


class Rates:
    """Shows on standard error, every few seconds, how far a run is, how fast it goes and how much is left.

    A phase's rate counts from its first step to its last: the time between two phases belongs to neither. If nothing
    was done, nothing is shown.
    """

    def __init__(self, every: float = 2.0) -> None:
        from tocsin.client import system

        self._clock, self._every = system.monotonic, every
        self._what, self._done, self._total = "", 0, 0
        self._began = self._at = self._told = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note that `done` of `total` are done (0 where nobody knows how many there are)."""
        now = self._clock()
        if what != self._what:
            self.end()
            self._what, self._began, self._told = what, now, now
        self._done, self._total, self._at = done, total, now
        if now - self._told >= self._every:
            self.end()

    def end(self) -> None:
        """Show the state of the phase."""
        if self._done:
            of = f" of {self._total:,}" if self._total else ""
            rate = self._done / max(self._at - self._began, 1e-3)
            note(f"{self._done:,}{of} {self._what}, {rate:,.{0 if rate >= 10 else 1}f} a second")
        self._told = self._at


def need_extra() -> None:
    """Raise `ExtraMissing` unless everything that reads logs is installed."""
    from importlib.util import find_spec

    if missing := [name for name in ("duckdb", "orjson", "zstandard") if find_spec(name) is None]:
        raise ExtraMissing(f"{', '.join(missing)} is not installed; {how_to_install('detect')}")


def common_list(path: Path | None) -> CommonList:
    """Return the list of common shingles of a file, or the shipped one. Raises `BadCommonList`, OSError."""
    from tocsin.indicators.ptf2.common_list import BadCommonList, parse_common_list, shipped
    from tocsin.indicators.snapshot_files import CURRENT

    if path is None:
        return shipped(CURRENT.common_prompts)
    try:
        return parse_common_list(path.read_bytes())
    except BadCommonList as error:
        raise BadCommonList(f"{path}: {error}") from None


def format_of(name: str, map_file: Path | None) -> str | FieldMap:
    """Return what a reader takes as its format. Raises `BadFormat`, `BadFieldMap`."""
    from tocsin.ingest.formats import FORMATS, read_field_map
    from tocsin.ingest.log_reader import AUTO

    if map_file is not None:
        if name != AUTO:
            raise BadFormat("give --format or --field-map, not both")
        return read_field_map(map_file)
    if name != AUTO and name not in FORMATS:
        raise BadFormat(f"--format must be one of {', '.join((AUTO, *FORMATS))}")
    return name


def _document(summary: Summary) -> dict[str, object]:
    counts, tally = summary.counts, summary.tally
    return {
        "written": summary.written,
        "lines": counts.lines,
        "exchanges": counts.exchanges,
        "without_exchange": counts.without_exchange,
        "without_content": counts.without_content,
        "bad": counts.bad,
        "passed_over": summary.passed_over.total(),
        "read_before": summary.read_before,
        "continued": summary.continued,
        "changed": summary.changed,
        "accounts": tally.accounts,
        "conversations": tally.conversations,
        "levels": tally.kept,
        "refused": dict(sorted(tally.refused.items())),
        "values": dict(sorted((+tally.values).items())),
        "peak_mib": round(summary.peak_mib, 1),
        "bad_lines": [_of_bad(bad) for bad in summary.bad],
    }


def _of_bad(bad: BadLine) -> dict[str, object]:
    found: dict[str, object] = {"file": bad.file, "place": bad.place, "rule": bad.rule}
    if bad.count > 1:
        found["exchanges"] = bad.count
    if bad.more:
        found["more"] = bad.more
    return found


def _table(summary: Summary) -> None:
    counts, tally = summary.counts, summary.tally
    of_files = (
        ("files skipped, read before", summary.read_before),
        ("files continued", summary.continued),
    )
    rows = [
        ("lines read", counts.lines),
        ("exchanges", counts.exchanges),
        ("lines without an exchange", counts.without_exchange),
        ("exchanges without content", counts.without_content),
        ("bad lines", counts.bad),
        *((what, count) for what, count in of_files if count),
        ("accounts", tally.accounts),
        ("conversations sampled", tally.conversations),
        ("levels of skeletons kept", tally.kept),
        *((f"refused: {rule}", count) for rule, count in sorted(tally.refused.items())),
        *((f"values: {type}", count) for type, count in sorted((+tally.values).items())),
    ]
    print_table("Ingested", ("what", "how many"), [(what, f"{count:,}") for what, count in rows])
