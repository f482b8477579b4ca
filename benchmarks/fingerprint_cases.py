"""The cases that the fingerprint is measured on: each makes pairs of accounts that should be linked, or should not.

1. A case is a name and pairs of accounts. The accounts of a pair have no prompt in common.
2. Both accounts of a pair are varied, unless the case says otherwise.
3. *Operators* are pairs of one template; *innocents* are accounts no two of which should be linked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random  # noqa: TID251 - a measurement repeats under its seed

import frameworks
from prompt_accounts import VARIATIONS, Account, Corpus, Request, halves, of_prompts

Pair = tuple[Account, Account]
Templates = Mapping[str, Sequence[str]]


def operators(
    corpus: Corpus, templates: Templates, each: int, random: Random, variation: str = "none", rounds: int = 1
) -> list[Pair]:
    """Pairs of accounts with `each` prompts of one template, both varied."""
    vary = VARIATIONS[variation]
    made: list[Pair] = []
    for _ in range(rounds):
        for rows in templates.values():
            if len(rows) >= 2 * each:
                one, two = halves(rows, each, random)
                pair = [of_prompts(vary(prompts, random, corpus.words)) for prompts in (one, two)]
                made.append((pair[0], pair[1]))
    return made


def mixed(
    corpus: Corpus,
    templates: Templates,
    kinds: int,
    noise: float,
    random: Random,
    times: int,
    both: bool = False,
) -> list[Pair]:
    """An account of several templates, part noise, and a plain one of its first; or, with `both`, another such mix."""
    made: list[Pair] = []
    for _ in range(times):
        names = random.sample(list(templates), kinds)
        drawn = [halves(templates[name], 10, random) for name in names]
        sides = [[one for one, _ in drawn], [two for _, two in drawn][: kinds if both else 1]]
        pair = []
        for side in sides:
            prompts = [prompt for half in side for prompt in half]
            if len(side) == kinds:
                prompts += random.choices(corpus.benign, k=round(len(prompts) * noise / (1 - noise)))
            random.shuffle(prompts)
            pair.append(of_prompts(prompts))
        made.append((pair[0], pair[1]))
    return made


def fenced(pairs: Sequence[Pair]) -> list[Pair]:
    """One account puts every prompt into a code fence, the other does not."""
    return [([_wrapped(request, "```\n{}\n```") for request in one], two) for one, two in pairs]


def addressed(pairs: Sequence[Pair]) -> list[Pair]:
    """One account writes every prompt as the path of an address, the other does not."""
    return [
        ([Request(("http://example.com/" + "/".join(request.turns[0].split()),)) for request in one], two)
        for one, two in pairs
    ]


def opened(corpus: Corpus, pairs: Sequence[Pair], random: Random, constant: bool = False) -> list[Pair]:
    """Both put an invented first turn before the template; a `constant` one is the same for all."""

    def side(account: Account) -> Account:
        if constant:
            return [Request(("Hello there, can you help me today?", *request.turns)) for request in account]
        return [
            Request((random.choice(corpus.benign), *request.turns), conversation=request.conversation)
            for request in account
        ]

    return [(side(one), side(two)) for one, two in pairs]


def split(pairs: Sequence[Pair], constant_first: bool = False) -> list[Pair]:
    """One account sends every prompt in two turns and names no conversation; the other sends it whole.

    With `constant_first` the words that all of its prompts begin with are the first turn, so that turn is always equal.
    """

    def side(account: Account) -> Account:
        made = []
        words = [request.turns[0].split() for request in account]
        shared = 0
        while all(len(word) > shared + 1 and word[shared] == words[0][shared] for word in words):
            shared += 1
        for word in words:
            cut = shared if constant_first and shared >= 3 else len(word) // 2
            first, second = " ".join(word[:cut]), " ".join(word[cut:])
            made += [Request((first,)), Request((first, second))]
        return made

    return [(side(one), two) for one, two in pairs]


def one_conversation(pairs: Sequence[Pair], conversations: int = 1) -> list[Pair]:
    """Both name so many conversations for all of their requests."""

    def side(account: Account) -> Account:
        return [
            Request(request.turns, request.system, f"c{number % conversations}")
            for number, request in enumerate(account)
        ]

    return [(side(one), side(two)) for one, two in pairs]


def between(corpus: Corpus, pairs: Sequence[Pair], random: Random) -> list[Pair]:
    """Both put the template between two invented turns of each conversation."""

    def side(account: Account) -> Account:
        return [
            Request(
                (random.choice(corpus.benign), *request.turns, random.choice(corpus.benign)),
                conversation=request.conversation,
            )
            for request in account
        ]

    return [(side(one), side(two)) for one, two in pairs]


def behind_two(pairs: Sequence[Pair]) -> list[Pair]:
    """Both begin with the same two invented turns, name no conversation, and have the template in the third turn."""
    opening = ("Hello there, can you help me today?", "Thank you, then let us begin.")
    return [
        (
            [Request((*opening, *request.turns)) for request in one],
            [Request((*opening, *request.turns)) for request in two],
        )
        for one, two in pairs
    ]


def rare(corpus: Corpus, templates: Templates, share: int, random: Random, times: int) -> list[Pair]:
    """An account of which one prompt in `share` is of a template, and a plain account of that template."""
    made: list[Pair] = []
    for name in random.sample(list(templates), min(times, len(templates))):
        one, two = halves(templates[name], 10, random)
        prompts = one + random.choices(corpus.benign, k=10 * (share - 1))
        random.shuffle(prompts)
        made.append((of_prompts(prompts), of_prompts(two)))
    return made


def system_prompts(corpus: Corpus, random: Random, times: int, percent: int = 0) -> list[Pair]:
    """Accounts of one system prompt with one word of its own in each; or with a share of the words rewritten."""
    texts = [text for text in corpus.benign if 30 <= len(text.split()) <= 400]
    made: list[Pair] = []
    for text in random.sample(texts, min(times, len(texts))):
        pair = []
        for _ in range(2):
            if percent:
                changed = VARIATIONS[f"{percent} % rewritten per account"]([text], random, corpus.words)[0]
            else:
                words = text.split()
                words[random.randrange(len(words))] = random.choice(corpus.words)
                changed = " ".join(words)
            pair.append(
                [
                    Request((random.choice(corpus.benign),), changed, conversation=str(number))
                    for number in range(10)
                ]
            )
        made.append((pair[0], pair[1]))
    return made


def _wrapped(request: Request, shape: str) -> Request:
    return Request((shape.format(request.turns[0]),), request.system, request.conversation)


def framework_users(corpus: Corpus, count: int, random: Random) -> dict[str, Account]:
    """Innocents that work through popular frameworks, a few of which have most of the users."""
    chosen = random.choices(range(len(frameworks.PREAMBLES)), frameworks.POPULARITY, k=count)
    return {
        f"user {number} of {framework}": of_prompts(
            frameworks.user(framework, random, corpus.words, corpus.benign, random.choice((4, 6, 10, 20)))
        )
        for number, framework in enumerate(chosen)
    }


def framework_operators(corpus: Corpus, templates: Templates, each: int, random: Random) -> list[Pair]:
    """Pairs of operators that put the template of one campaign into a popular framework."""
    made: list[Pair] = []
    for number in range(len(frameworks.PREAMBLES) * 3):
        framework = number % len(frameworks.PREAMBLES)
        one, two = halves(templates[random.choice(list(templates))], each, random)
        made.append(
            (
                of_prompts(frameworks.operator(framework, one, random)),
                of_prompts(frameworks.operator(framework, two, random)),
            )
        )
    return made


def single_users(corpus: Corpus, random: Random) -> dict[str, Account]:
    """Plain accounts: 15 prompts that people wrote, each in one account only."""
    texts = random.sample(corpus.benign, len(corpus.benign))
    return {f"plain {at}": of_prompts(texts[at : at + 15]) for at in range(0, len(texts) - 14, 15)}


def boilerplate(corpus: Corpus, templates: Templates, share: float, random: Random, times: int) -> list[Pair]:
    """Pairs of unrelated templates of 60 words, `share` of which, in one piece, both have."""
    words = [text.split() for text in corpus.benign if len(text.split()) >= 60]
    rows = list(templates.values())
    made: list[Pair] = []
    for _ in range(times):
        common, one, two = random.sample(words, 3)
        cut = round(60 * share)
        pair = []
        for own, prompts in zip((one, two), random.sample(rows, 2), strict=True):
            constant = " ".join(common[:cut] + own[: 60 - cut])
            filled = [prompt.split()[:8] for prompt in random.sample(prompts, 10)]
            pair.append(
                of_prompts([f"{constant} {' '.join(own_words)} {random.random()}" for own_words in filled])
            )
        made.append((pair[0], pair[1]))
    return made
