"""Matching: (i) look-ups against growing logs, (ii) a vault against a day's new entries, (iii) a day's change.

(i) 1,000 values looked up by the node's own service on SQLite: under ten writers and both purposes, 20,000 tags a
    look-up, one in a hundred there. The logs hold 10⁵ to 10⁷ entries in all. A look-up reads one table and nothing
    else (`storage/tables.py`, rule 4), so only that is filled.
(ii) The client's join of a vault of 10⁶ values with a day's new entries of the nine others of a federation of ten.
(iii) Two members with sets of 10⁶ values each come by 1,000 new values: both evaluate them with t = 2 of 3 real nodes,
    report them and look them up, so that every pair that a new value makes is found by the member whose value is new.
    CPU of both clients and all nodes; publishing, following and the verification of every proof are in it. The rival
    has to do the whole sets again. That the member whose value is old learns of it, too, takes its next join (ii): what
    both joins add is told beside it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import measure
from member import opened

from federation import Federation, founded, running_in
from tocsin.client import Client, ReportDraft
from tocsin.client.charters import ActiveCharter, CharterKeeper
from tocsin.client.config import load_config, open_secrets
from tocsin.client.matching import Taggers
from tocsin.client.system import now, pause
from tocsin.client.vault import Vault, open_vault
from tocsin.client.watching import join
from tocsin.indicators.registry import TYPES
from tocsin.localnet.federation import Home
from tocsin.node.storage import tables
from tocsin.node.storage.sqlite import SqliteBackend
from tocsin.oprf.rfc9497 import OUTPUT_BYTES, Output
from tocsin.sealing.box import Purpose, SealInfo
from tocsin.sealing.label import AbuseKind
from tocsin.sealing.pepper import period_secret
from tocsin.tlog.merkle import Frontier
from tocsin.wire.values import MemberId

NAME = "match"
TYPE = "contact.email"
EPOCH = 1
TAG = 16
TICK_ENTRIES = 20_000
FAR = 2**40
"""Where the indices of filled-in entries begin, far from those that a node gives."""
TAGS_A_SECOND, DEARER, JOIN_US, CHEAPER = 200_000, 5.0, 12.0, 100.0


def fill(path: Path, writers: Sequence[bytes], total: int, known: Sequence[bytes] = ()) -> None:
    """Give `writers` live tags, `total` in all, the way ticks bring them: some thousands at a time, sorted.

    `known` are tags that every log gets among its own.
    """
    backend = SqliteBackend(path)
    with backend.writers.begin() as connection:
        held = {row.member: row.no for row in connection.execute(tables.log.select())}
        for writer in writers:
            if writer not in held:
                fresh = {"member": writer, "frontier": Frontier().encode(), "checkpoint": b"", "time": 0}
                connection.execute(tables.log.insert().values(**fresh, quarantined=False, paced_until=0))
        held = {row.member: row.no for row in connection.execute(tables.log.select())}
    each = total // len(writers)
    # Known tags lie where they fall among all others, in the first ticks of a log.
    for start in range(0, each, TICK_ENTRIES):
        for writer in writers:
            size = min(TICK_ENTRIES, each - start)
            mine = list(known[start : start + size])
            raw = os.urandom(TAG * (size - len(mine)))
            tags = sorted(mine + [raw[at : at + TAG] for at in range(0, len(raw), TAG)])
            rows = ((held[writer], tag, FAR + start + place) for place, tag in enumerate(tags))
            with backend.writers.begin() as connection:
                backend.insert(connection, tables.live_tag, rows)
    backend.close()


def look_ups(sizes: Sequence[int], rounds: int, values: int) -> tuple[list[measure.Figure], float]:
    """Part (i): look up `values` values under ten writers and two purposes, on logs of each size in all."""
    rates: list[float] = []
    spent: list[float] = []
    total = 0.0
    with founded(10, threshold=2, tick_seconds=60) as homes:
        writers = [home.id for home in homes]
        for size in sizes:
            home, path = homes[0], homes[0].folder / "node" / f"{size}.db"
            with opened(home, f"sqlite:///{path}"):
                pass
            count = values * 2
            known = [os.urandom(TAG) for _ in range(max(1, count // 100))]
            fill(path, writers, size, known[: size // len(writers)])
            with opened(home, f"sqlite:///{path}") as member:
                member.publish(
                    []
                )  # after its first tick a node filters no expired entries out of what it finds
                took, used = [], []
                for turn in range(rounds + 1):
                    groups = []
                    for writer in writers:
                        raw = os.urandom(TAG * (count - len(known)))
                        groups.append((MemberId(writer), raw + b"".join(known)))
                    began, cpu = time.perf_counter(), time.process_time()
                    hits = member.run(member.services.looking_up.look_up(groups))
                    if turn:
                        took.append(time.perf_counter() - began)
                        used.append(time.process_time() - cpu)
                    if len(hits) != len(writers) * min(len(known), size // len(writers)):
                        raise RuntimeError(f"{len(hits)} tags were found")
            asked = count * len(writers)
            total += sum(used)
            rates.append(asked / measure.median(took))
            spent.append(measure.median(used) / asked * 1e6)
            path.unlink()
    more = {f"tags/s at {size:,}": rate for size, rate in zip(sizes, rates, strict=True)}
    more |= {f"CPU µs a tag at {size:,}": cpu for size, cpu in zip(sizes, spent, strict=True)}
    figures = [
        measure.Figure(
            f"(i) look-ups of {values:,} values against {sizes[-1]:,} entries",
            "tags/s",
            rates[-1],
            0.0,
            0.0,
            f"≥ {TAGS_A_SECOND:,} tags/s",
            min(rates) >= TAGS_A_SECOND,
            more,
        ),
        measure.Figure(
            f"(i) a tag at {sizes[-1]:,} entries against {sizes[0]:,}",
            "µs",
            1e6 / rates[-1],
            1e6 / rates[0],
            rates[0] / rates[-1],
            f"≤ {DEARER:g} times dearer",
            rates[0] / rates[-1] <= DEARER,
        ),
    ]
    return figures, total


def open_standing(home: Home) -> tuple[Vault, ActiveCharter]:
    """Open a client's vault and what it stands on."""
    config = load_config(home.client)
    secrets = open_secrets(config)
    vault = open_vault(
        config.vault,
        secrets["vault"],
        federation=config.federation,
        member=config.member,
        pin=config.charter_pin,
        random=os.urandom,
    )
    standing = CharterKeeper(config, vault, secrets["client_hpke"]).load(now())
    if standing is None:
        raise RuntimeError("the charter that was just installed is not there")
    return vault, standing


def outputs(count: int) -> Iterator[dict[bytes, Output]]:
    """Yield random outputs by value key, ten thousand at a time."""
    for start in range(0, count, 10_000):
        size = min(10_000, count - start)
        yield {os.urandom(16): Output(os.urandom(OUTPUT_BYTES)) for _ in range(size)}


def joins(kept: int, new: int, rounds: int) -> tuple[measure.Figure, float]:
    """Part (ii): join a vault of `kept` values with `new` entries of each of nine writers."""
    hits = max(1, new // 100)
    with founded(10, threshold=2, tick_seconds=60) as homes:
        vault, standing = open_standing(homes[0])
        some: list[Output] = []
        for part in outputs(kept):
            vault.keep_outputs(TYPE, EPOCH, part)
            some += list(part.values())[: max(0, hits - len(some))]
        writers = [member.id for member in standing.others]
        period = standing.charter.period_at(now())
        info = SealInfo(int(TYPES[TYPE].key_class), EPOCH, period)
        (tagger,) = [
            tagger
            for _, made in Taggers(standing, writers, [period]).of(info.key_class, EPOCH)
            for purpose, _, tagger in made
            if purpose is Purpose.REPORT
        ]
        tags: dict[bytes, dict[bytes, int]] = {}
        expected = [tagger.tags(period_secret(standing.pepper(period), output)) for output in some]
        for place, writer in enumerate(writers):
            own = [tags[place * TAG : (place + 1) * TAG] for tags in expected]
            own += [os.urandom(TAG) for _ in range(new - len(own))]
            tags[writer] = {tag: index for index, tag in enumerate(own)}

        def turn() -> float:
            began = time.process_time()
            found = join(vault, standing, tags, now() - 7 * 86_400, now())
            spent = time.process_time() - began
            if len(found) != len(some) * len(writers):
                raise RuntimeError(f"{len(found)} candidates were found")
            return spent / kept * 1e6

        (samples,) = measure.in_turns(rounds, turn)
        vault.close()
    cost = measure.median(samples)
    figure = measure.Figure(
        f"(ii) joining a vault of {kept:,} with {new * 9:,} new entries of nine others",
        "CPU µs a value",
        cost,
        0.0,
        0.0,
        f"≤ {JOIN_US:g} µs",
        cost <= JOIN_US,
    )
    return figure, sum(samples) * kept / 1e6


def await_followed(federation: Federation) -> None:
    """Wait until every node holds every log whole and nothing waits."""
    deadline = time.monotonic() + 120
    while True:
        standings = []
        for home in federation.homes:
            with Client.connect(home.client) as client:
                status = client.status()
                standings.append((status.waiting, {log.writer: log.size for log in status.logs}))
        if all(waiting == 0 and sizes == standings[0][1] for waiting, sizes in standings):
            return
        if time.monotonic() > deadline:
            raise RuntimeError("the nodes do not catch up with each other")
        pause(0.25)


def a_day(values: int, sets: int, join_us: float) -> tuple[measure.Figure, float]:
    """Part (iii): `values` new values on each side of sets of `sets`; `join_us` from part (ii)."""
    from psi_environment import intersect

    shared = max(1, values // 100)
    with ExitStack() as closing:
        homes = closing.enter_context(founded(3, threshold=2, tick_seconds=1))
        for home in homes[:2]:
            with opened(home):
                pass
            fill(home.folder / "node" / "node.db", [home.id for home in homes[:2]], 2 * sets)
        federation = closing.enter_context(running_in(homes))
        sides = [closing.enter_context(Client.connect(home.client)) for home in homes[:2]]
        both = [(TYPE, f"shared-{number}@bench-mail.com") for number in range(shared)]
        new = [
            both + [(TYPE, f"side{side}-{number}@bench-mail.com") for number in range(values - shared)]
            for side in range(2)
        ]
        for side in sides:
            side.status()
        await_followed(federation)
        own, theirs = time.process_time(), measure.cpu_of(federation.process_ids)
        for client, mine in zip(sides, new, strict=True):
            receipt = client.submit(
                ReportDraft(value, AbuseKind.ACCOUNT_FARMING, confidence=80, first_seen=now())
                for value in mine
            )
            if receipt.accepted != values:
                raise RuntimeError(f"{receipt.accepted} of {values} reports were taken")
        await_followed(federation)
        for client, mine in zip(sides, new, strict=True):
            matches = client.query(mine).matches
            if len(matches) != shared:
                raise RuntimeError(f"{len(matches)} matches, {shared} values are shared")
        own = time.process_time() - own
        spent = own + measure.cpu_of(federation.process_ids) - theirs
    rival = intersect(sets)
    with_joins = spent + 2 * sets * join_us / 1e6
    figure = measure.Figure(
        f"(iii) {values:,} new values on each side of sets of {sets:,}, all parties, against the whole sets again",
        "CPU s",
        spent,
        rival,
        rival / spent,
        f"≥ {CHEAPER:g} times less CPU",
        rival / spent >= CHEAPER,
        {"clients, s": own, "with both joins, s": with_joins, "ratio with both joins": rival / with_joins},
    )
    return figure, spent


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--max", type=int, default=10**7, help="most entries of part (i)")
    parser.add_argument("--kept", type=int, default=10**6, help="values in the vault, and in the sets")
    parser.add_argument("--new", type=int, default=1_000, help="new values or entries of a member and day")
    parser.add_argument(
        "--parts", default="i,ii,iii", help="which parts to measure; iii is told with ii's figure"
    )
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.max, options.kept, options.new, options.parts = 1, 10**4, 200, 20, "i,ii"

    parts = set(options.parts.split(","))
    figures: list[measure.Figure] = []
    spent, join_us = 0.0, JOIN_US
    if "i" in parts:
        found, used = look_ups(
            [
                size
                for size in (10**4, 10**5, 10**6, 10**7)
                if size <= options.max and (size > 10**4 or options.smoke)
            ],
            options.rounds,
            options.new,
        )
        figures += found
        spent += used
    if "ii" in parts:
        figure, used = joins(options.kept, options.new, min(3, options.rounds))
        figures.append(figure)
        join_us = figure.product
        spent += used
    if "iii" in parts:
        figure, used = a_day(options.new, options.kept, join_us)
        figures.insert(0, figure)
        spent += used
    measure.tell(NAME, figures, samples=options.rounds, cpu_seconds=spent, peak=measure.peak_mib())


if __name__ == "__main__":
    main()
