"""How well `ptf2` links accounts of one template and keeps apart all others, on prompts whose templates are known.

Two accounts with disjoint prompts of one template match if an exact token or τ bands agree. The whole trade-off of
rows and τ, and what sampling costs, is drawn into a picture. `--templated` takes JSON lines with `template` and
`prompt`, `--benign` with `prompt`. `--only-one` varies one of the two accounts, by default both.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random  # noqa: TID251 - a measurement repeats under its seed

import measure
from inverting import Dictionary, invert
from prompt_accounts import PROMPTS, VARIATIONS, Corpus, Prints, agreeing, bands_of, halves, prints

from tocsin.indicators.ptf2.bands import BAND_THRESHOLD, BANDS, ROWS, minima

NAME = "fingerprint-quality"
PICTURE = measure.ROOT / "docs" / "fingerprint.svg"
SAMPLES = (16, 32, 64, 128)
CHOICES = tuple((rows, tau) for rows in (2, 3, 4) for tau in range(1, 9))

Rates = dict[str, float]


def recall(
    corpus: Corpus,
    templates: Mapping[str, Sequence[str]],
    each: int,
    name: str,
    random: Random,
    one_side: bool,
) -> tuple[Rates, list[tuple[Prints, Prints]]]:
    """Return how many pairs of accounts of one template match: by exact token, by bands, by either."""
    vary, pairs = VARIATIONS[name], []
    for rows in templates.values():
        if len(rows) < 2 * each:
            continue
        one, two = halves(rows, each, random)
        pairs.append(
            (
                prints(vary(one, random, corpus.words)),
                prints(two if one_side else vary(two, random, corpus.words)),
            )
        )
    exact = [bool(a.exact & b.exact) for a, b in pairs]
    banded = [agreeing(a, b) >= BAND_THRESHOLD for a, b in pairs]
    either = [a or b for a, b in zip(exact, banded, strict=True)]
    rates = {"exact": _share(exact), "bands": _share(banded), "either": _share(either), "pairs": len(pairs)}
    return rates, pairs


def apart(accounts: Mapping[str, Prints], related: Callable[[str, str], bool]) -> tuple[int, int, int]:
    """Return the pairs of unrelated accounts, and how many match by exact token and by bands."""
    pairs = exact = banded = 0
    for (one, a), (two, b) in itertools.combinations(accounts.items(), 2):
        if not related(one, two):
            pairs += 1
            exact += bool(a.exact & b.exact)
            banded += agreeing(a, b) >= BAND_THRESHOLD
    return pairs, exact, banded


def mixed(corpus: Corpus, kinds: int, noise: float, random: Random, times: int) -> float:
    """Return how often an account of several templates, part noise, is linked to a plain one of its first template."""
    hits = []
    for _ in range(times):
        names = random.sample(corpus.eligible, kinds)
        first, other = halves(corpus.templates[names[0]], 10, random)
        prompts = first + [row for name in names[1:] for row in random.sample(corpus.templates[name], 10)]
        prompts += random.choices(corpus.benign, k=round(len(prompts) * noise / (1 - noise)))
        random.shuffle(prompts)
        a, b = prints(prompts), prints(other)
        hits.append(bool(a.exact & b.exact) or agreeing(a, b) >= BAND_THRESHOLD)
    return _share(hits)


def sampled(corpus: Corpus, k: int, share: float, random: Random, times: int) -> float:
    """Return how often k of an account's conversations, `share` of them of a template, still link it."""
    hits = []
    for _ in range(times):
        first, other = halves(corpus.templates[random.choice(corpus.eligible)], 20, random)
        # The k smallest of keyed hashes are a uniform draw: how many of k are the template's is all that matters.
        count = min(20, sum(random.random() < share for _ in range(k)))
        prompts = first[:count] + random.choices(corpus.benign, k=min(k, round(k * (1 - share))))
        a, b = prints(prompts), prints(other)
        hits.append(bool(a.exact & b.exact) or agreeing(a, b) >= BAND_THRESHOLD)
    return _share(hits)


def trade_off(
    same: Sequence[tuple[Prints, Prints]], others: Sequence[tuple[Prints, Prints]]
) -> dict[tuple[int, int], tuple[float, float]]:
    """Return recall and false matches of the bands by (rows, τ), over pairs that both have bands."""
    found = {}
    for rows in sorted({rows for rows, _ in CHOICES}):
        best = [
            [
                max(
                    (
                        len(set(bands_of(x, BANDS, rows)) & set(bands_of(y, BANDS, rows)))
                        for x in a.banded
                        for y in b.banded
                    ),
                    default=0,
                )
                for a, b in pairs
            ]
            for pairs in (same, others)
        ]
        for tau in sorted({tau for _, tau in CHOICES}):
            found[rows, tau] = (_share([n >= tau for n in best[0]]), _share([n >= tau for n in best[1]]))
    return found


def draw(
    path: Path,
    curve: Mapping[tuple[int, int], tuple[float, float]],
    sampling: Mapping[float, Sequence[float]],
) -> None:
    """Draw both curves."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ptf2"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5))
    taus = sorted({tau for _, tau in curve})
    for rows, colour in zip(sorted({rows for rows, _ in curve}), ("C0", "C1", "C2"), strict=True):
        found, false = ([100 * curve[rows, tau][which] for tau in taus] for which in (0, 1))
        left.plot(taus, found, colour, marker="o", label=f"{rows} rows: same template found")
        left.plot(taus, false, colour, marker="x", linestyle="--", label=f"{rows} rows: unrelated matched")
    left.plot([BAND_THRESHOLD], [100 * curve[ROWS, BAND_THRESHOLD][0]], "k*", markersize=14, label="chosen")
    left.set(
        xticks=taus,
        xlabel="bands that must agree (τ)",
        ylabel="pairs of accounts, %",
        title=f"{BANDS} bands, 10 % of the words rewritten in each account",
    )
    left.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0.02, 0.06), ncols=2)
    for share, rates in sampling.items():
        right.plot(
            SAMPLES, [100 * rate for rate in rates], marker="o", label=f"{share:.0%} of the conversations"
        )
    right.set(
        xscale="log",
        xticks=SAMPLES,
        xticklabels=SAMPLES,
        xlabel="conversations kept of an account (k)",
        ylabel="accounts linked, %",
        title="What sampling costs, by the template's share",
    )
    right.minorticks_off()
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def _rate(what: str, rate: float, target: str, met: bool, more: Mapping[str, float]) -> measure.Figure:
    return measure.Figure(what, "of pairs", rate, 0, 0, target, met, more)


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--templated", type=Path, default=PROMPTS / "templated.jsonl.gz")
    parser.add_argument("--benign", type=Path, default=PROMPTS / "benign.jsonl.gz")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--only-one", action="store_true", help="vary one account of each pair, not both")
    parser.add_argument(
        "--picture", type=Path, help="draw the trade-off here; docs/fingerprint.svg where not a smoke run"
    )
    options = parser.parse_args()
    picture = options.picture or (None if options.smoke else PICTURE)
    random = Random(options.seed)
    present = [path if path.exists() else None for path in (options.templated, options.benign)]
    corpus = Corpus(*present)
    times = 4 if options.smoke else 60
    long_ones = corpus.long_templates(random, 4 if options.smoke else 60)
    alone = corpus.alone()
    if options.smoke:
        alone = dict(list(alone.items())[:6])
    figures = []
    rewritten: list[tuple[Prints, Prints]] = []
    for each in (10, 20):
        rates, _ = recall(corpus, alone, each, "none", random, options.only_one)
        figures.append(
            _rate(
                f"same template, {each} conversations each",
                rates["either"],
                "≥ 0.98",
                rates["either"] >= 0.98,
                rates,
            )
        )
    for each in (10, 20):
        for name in list(VARIATIONS)[:3] if options.smoke else VARIATIONS:
            rates, pairs = recall(corpus, long_ones, each, name, random, options.only_one)
            short, _ = recall(corpus, alone, each, name, random, options.only_one)
            aimed = name.startswith("10 %")
            least = 0.98 if name == "none" else 0.9 if aimed else 0.0
            figures.append(
                _rate(
                    f"long templates, {each} conversations each, {name}",
                    rates["either"],
                    f"≥ {least}" if least else "none stated",
                    rates["either"] >= least,
                    {**rates, "templates as they are": short["either"]},
                )
            )
            if name == "10 % rewritten per account":
                rewritten += pairs
    strangers = {name: prints(random.sample(rows, 20)) for name, rows in alone.items()}
    compared, exact, banded = apart(strangers, corpus.related)
    figures.append(
        _rate(
            "unrelated templates matched", (exact + banded) / max(1, compared), "0", exact + banded == 0,
            {"pairs": compared, "by exact token": exact, "by bands": banded},
        )
    )  # fmt: skip
    parts = {name: frozenset(name.split(" + ")) for name in long_ones}
    apart_long = {name: prints(random.sample(rows, 20)) for name, rows in long_ones.items()}
    others = [
        (a, b)
        for (one, a), (two, b) in itertools.combinations(apart_long.items(), 2)
        if not any(x == y or corpus.related(x, y) for x in parts[one] for y in parts[two])
    ]
    false = sum(agreeing(a, b) >= BAND_THRESHOLD or bool(a.exact & b.exact) for a, b in others)
    figures.append(
        _rate(
            "unrelated long templates matched",
            false / max(1, len(others)),
            "0",
            false == 0,
            {"pairs": len(others)},
        )
    )
    shuffled = random.sample(corpus.benign, len(corpus.benign))
    crowd = {str(at): prints(shuffled[at : at + 15]) for at in range(0, len(shuffled) - 14, 15)}
    compared, exact, banded = apart(crowd, lambda _a, _b: False)
    figures.append(
        _rate(
            "benign accounts of 15 prompts matched", (exact + banded) / max(1, compared), "0", exact + banded == 0,
            {"pairs": compared, "accounts with a skeleton": sum(bool(each.exact) for each in crowd.values())},
        )
    )  # fmt: skip
    for kinds, noise in ((1, 0.0), (1, 0.5), (1, 0.8), (3, 0.0), (3, 0.5), (5, 0.0), (5, 0.8)):
        if kinds <= len(corpus.eligible):
            rate = mixed(corpus, kinds, noise, random, times)
            figures.append(
                _rate(
                    f"{kinds} templates in one account, {noise:.0%} noise",
                    rate,
                    "none stated",
                    True,
                    {"accounts": times},
                )
            )
    sampling = {
        share: [sampled(corpus, k, share, random, times) for k in SAMPLES] for share in (0.15, 0.3, 0.6)
    }
    for share, rates_by_k in sampling.items():
        figures.append(
            _rate(
                f"sampling, template in {share:.0%} of them", statistics.fmean(rates_by_k), "none stated", True,
                {f"k = {k}": rate for k, rate in zip(SAMPLES, rates_by_k, strict=True)},
            )
        )  # fmt: skip
    targets = [one for one, _ in itertools.islice(others, 3 if options.smoke else 12) if one.banded]
    texts = [row for rows in corpus.templates.values() for row in rows[:2]] + corpus.benign
    budget = 20_000 if options.smoke else 2_000_000
    strange = Dictionary(corpus.benign)
    loots = [invert(list(enumerate(minima(one.banded[0]))), strange, budget) for one in targets]
    told = [invert(list(enumerate(minima(one.banded[0]))), Dictionary(texts), budget) for one in targets[:3]]
    figures.append(
        _rate(
            "inversion: records opened by a dictionary of benign prompts",
            _share([each.opens for each in loots]),
            "0",
            not any(each.opens for each in loots),
            {
                "evaluations a template": max((each.spent for each in loots), default=0),
                "templates": len(loots),
                "bands guessed": sum(each.bands for each in loots),
                "words learnt": sum(len(each.words) for each in loots),
                "opened by one who has prompts of every template": sum(each.opens for each in told),
            },
        )
    )
    if picture is not None:
        draw(picture, trade_off(rewritten, others), sampling)
    measure.tell(
        NAME,
        figures,
        samples=len(figures),
        cpu_seconds=time.process_time(),
        peak=measure.peak_mib(),
        more={
            "own_prompts": corpus.own,
            "templates": len(corpus.templates),
            "eligible": len(corpus.eligible),
        },
    )


if __name__ == "__main__":
    main()
