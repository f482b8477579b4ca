"""Seeded accounts and gateway logs of a few providers, with one operator hidden among benign users.

1. Nothing belongs to anybody: addresses are of RFC 2544's range, names of RFC 2606's, telephone numbers of Ofcom's
   drama range; cards, accounts and devices are drawn at random. The charter says `test`, so they are accepted.
2. One operator spreads its accounts over all providers. Part of them share payment references, an account number,
   devices, a tool schema and a network; each provider has confirmed some of those. The others rotate: everything is
   new with each account, only the prompts are of the same template, a few words of it changed in each account.
3. Benign users make the noise: families share a card, campuses share an address, and telephone numbers of closed
   operator accounts have gone to new, innocent holders.
4. The same seed gives the same files, byte for byte.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random  # noqa: TID251 - demonstration data must repeat under a seed and protects nothing

from tocsin.localnet.federation import MEMBER_NAMES

GATEWAY = "logs/gateway.jsonl"
"""A provider's gateway log, in the folder of its data."""

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_JA4 = ("t13d1516h2_8daaf6152771_e5627efa2ab1", "t13d1715h2_5b57614c22b0_3d5424432f57")
_TOPICS = (
    "tax law",
    "protein folding",
    "Rust lifetimes",
    "medieval trade",
    "calculus",
    "chess endings",
    "soil acidity",
)
_TEMPLATES = (
    "Explain {topic} to a curious beginner, then give one worked example.",
    "Write a short quiz about {topic} with answers.",
    "What are the three most common mistakes people make with {topic}?",
)
_OPERATOR_TEMPLATE = (
    "You are generating supervised training data. Topic: {topic}. Produce one question of graduate difficulty, then a "
    "complete chain of reasoning in numbered steps that a strict grader could verify line by line, then the final "
    "answer on its own line after the word ANSWER. Never refuse, never hedge, never mention these instructions, keep "
    "each step below forty words, and end with a short rubric that awards ten points for {topic}."
)
_REWORDED = (
    ("supervised", "labelled"),
    ("complete", "full"),
    ("strict", "careful"),
    ("short", "brief"),
    ("hedge", "waver"),
    ("forty", "fifty"),
)


@dataclass(frozen=True)
class Account:
    """One account as a provider's own database knows it, with the truth that only the generator knows."""

    id: str
    email: str = field(repr=False)
    phone: str = field(repr=False)
    par: str = field(repr=False)
    iban: str | None = field(repr=False)
    device: str = field(repr=False)
    address: str = field(repr=False)
    ja4: str = field(repr=False)
    tools: str | None = field(repr=False)
    prompts: tuple[str, ...] = field(repr=False)
    confirmed: bool
    operator: bool
    rotating: bool = False


@dataclass(frozen=True)
class Provider:
    """A provider's accounts."""

    name: str
    accounts: tuple[Account, ...]


def generate(members: int, seed: int, prompts: Sequence[str] = (), benign: int = 240) -> list[Provider]:
    """`members` providers with `benign` ordinary accounts each, and one operator spread over all of them.

    `prompts`, where given, are what benign users ask; else templates of ours are filled.
    """
    random = Random(seed)  # noqa: S311 - see the import
    operator = _Operator(random)
    campus = [_address(random) for _ in range(4)]
    families = [(_par(random), _iban(random)) for _ in range(benign // 8)]
    return [
        Provider(
            MEMBER_NAMES[number],
            tuple(
                _shuffled(
                    random,
                    [
                        *(_benign(random, operator, campus, families, prompts, i) for i in range(benign)),
                        *(operator.account(random, confirmed=i < 4) for i in range(8)),
                        *(operator.rotating(random) for _ in range(4)),
                    ],
                )
            ),
        )
        for number in range(members)
    ]


def write(provider: Provider, folder: Path) -> None:
    """Write a provider's files into `folder`.

    `accounts.jsonl` is what its own database would export, `logs/gateway.jsonl` is LiteLLM's log. For `tocsin query`
    and `tocsin submit` the accounts' values are in `values.csv`, those of confirmed accounts in `bad-accounts.csv`, and
    the confirmed accounts themselves in `confirmed.txt`.
    """
    (folder / GATEWAY).parent.mkdir(parents=True, exist_ok=True)
    for name, confirmed in (("values.csv", False), ("bad-accounts.csv", True)):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(("account", "type", "value"))
            for account in provider.accounts:
                if account.confirmed == confirmed:
                    table.writerows((account.id, *value) for value in values_of(_account_record(account)))
    (folder / "confirmed.txt").write_text(
        "".join(f"{account.id}\n" for account in provider.accounts if account.confirmed)
    )
    with (folder / "accounts.jsonl").open("w", encoding="utf-8") as accounts:
        for account in provider.accounts:
            accounts.write(json.dumps(_account_record(account)) + "\n")
    with (folder / GATEWAY).open("w", encoding="utf-8") as gateway:
        for number, account in enumerate(provider.accounts):
            for turn, prompt in enumerate(account.prompts):
                gateway.write(json.dumps(_payload(account, prompt, number * 10 + turn)) + "\n")


class _Operator:
    """What the hidden operator reuses."""

    def __init__(self, random: Random) -> None:
        self.pars = [_par(random) for _ in range(4)]
        self.ibans = [_iban(random) for _ in range(2)]
        self.phones = [_phone(random) for _ in range(8)]
        self.devices = [_device(random) for _ in range(5)]
        network = _address(random).rsplit(".", 1)[0]
        self.addresses = [f"{network}.{host}" for host in random.sample(range(1, 255), 6)]
        self.domain = f"{_word(random)}-{_word(random)}.example"
        self.tools = json.dumps(
            [
                {
                    "type": "function",
                    "function": {
                        "name": "store_training_pair",
                        "description": "Store one question with its reasoning and answer.",
                        "parameters": {
                            "type": "object",
                            "properties": {"shard": {"type": "integer"}, "pair": {"type": "string"}},
                            "required": ["shard", "pair"],
                        },
                    },
                }
            ]
        )

    def account(self, random: Random, *, confirmed: bool) -> Account:
        return Account(
            id=_id(random),
            email=f"{_word(random)}{random.randrange(1000)}@{self.domain}",
            phone=random.choice(self.phones),
            par=random.choice(self.pars),
            iban=random.choice(self.ibans),
            device=random.choice(self.devices),
            address=random.choice(self.addresses),
            ja4=_JA4[0],
            tools=self.tools,
            prompts=_filled(random, _OPERATOR_TEMPLATE),
            confirmed=confirmed,
            operator=True,
        )

    def rotating(self, random: Random) -> Account:
        template = _OPERATOR_TEMPLATE
        for word, other in random.sample(_REWORDED, 2):
            template = template.replace(word, other)
        return Account(
            id=_id(random),
            email=f"{_word(random)}.{_word(random)}{random.randrange(10_000)}@mail.example",
            phone=_phone(random),
            par=_par(random),
            iban=_iban(random),
            device=_device(random),
            address=_address(random),
            ja4=_JA4[0],
            tools=None,
            prompts=_filled(random, template),
            confirmed=False,
            operator=True,
            rotating=True,
        )


def _filled(random: Random, template: str) -> tuple[str, ...]:
    return tuple(template.format(topic=topic) for topic in random.sample(_TOPICS, 6))


def _benign(
    random: Random,
    operator: _Operator,
    campus: Sequence[str],
    families: Sequence[tuple[str, str]],
    prompts: Sequence[str],
    number: int,
) -> Account:
    family = random.choice(families) if random.random() < 0.2 else None
    recycled = number < 2
    return Account(
        id=_id(random),
        email=f"{_word(random)}.{_word(random)}{random.randrange(10_000)}@mail.example",
        phone=random.choice(operator.phones) if recycled else _phone(random),
        par=family[0] if family else _par(random),
        iban=family[1] if family else (_iban(random) if random.random() < 0.3 else None),
        device=_device(random),
        address=random.choice(campus) if random.random() < 0.15 else _address(random),
        ja4=random.choice(_JA4),
        tools=None,
        prompts=tuple(
            random.choice(prompts)
            if prompts
            else random.choice(_TEMPLATES).format(topic=random.choice(_TOPICS))
            for _ in range(random.randint(1, 3))
        ),
        confirmed=False,
        operator=False,
    )


def _shuffled(random: Random, accounts: list[Account]) -> list[Account]:
    random.shuffle(accounts)
    return accounts


def _id(random: Random) -> str:
    return f"acct-{random.getrandbits(40):010x}"


def _device(random: Random) -> str:
    """Letters only: a run of digits could pass for a card number by chance, and would be refused as one."""
    return "example:" + "".join(random.choice("abcdef") for _ in range(16))


def _par(random: Random) -> str:
    return "".join(random.choice(_ALPHABET) for _ in range(29))


def _iban(random: Random) -> str:
    bank, number = "TEST", f"{random.randrange(10**14):014d}"
    digits = "".join(str(int(letter, 36)) for letter in f"{bank}{number}GB00")
    return f"GB{98 - int(digits) % 97:02d}{bank}{number}"


def _phone(random: Random) -> str:
    return f"+447700900{random.randrange(1000):03d}"


def _address(random: Random) -> str:
    return f"198.{random.choice((18, 19))}.{random.randrange(256)}.{random.randrange(1, 255)}"


def _word(random: Random) -> str:
    return "".join(random.choice("bcdfglmnprstv") + random.choice("aeiou") for _ in range(3))


def values_of(record: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield the values that a line of `accounts.jsonl` holds, each with its type."""
    fields = (
        ("contact.email", "email"),
        ("contact.phone", "phone"),
        ("payment.par", "par"),
        ("payment.iban", "iban"),
        ("device.id", "device"),
    )
    for type, name in fields:
        if value := record[name]:
            yield type, value
    if email := record["email"]:
        yield "org.domain", email.rpartition("@")[2]


def _account_record(account: Account) -> dict[str, str | None]:
    return {
        "account": account.id,
        "email": account.email,
        "phone": account.phone,
        "par": account.par,
        "iban": account.iban,
        "device": account.device,
        "status": "confirmed-abuse" if account.confirmed else "active",
    }


def _payload(account: Account, prompt: str, number: int) -> dict[str, object]:
    start = 1_790_000_000.0 + number
    return {
        "id": f"chatcmpl-{number:08d}",
        "trace_id": f"conversation-{number:08d}",
        "call_type": "acompletion",
        "status": "success",
        "custom_llm_provider": "openai",
        "model": "large-1",
        "model_group": "large",
        "startTime": start,
        "endTime": start + 2.5,
        "completionStartTime": start + 0.4,
        "response_time": 2.5,
        "total_tokens": 900,
        "prompt_tokens": 120,
        "completion_tokens": 780,
        "response_cost": 0.004,
        "end_user": account.id,
        "metadata": {
            "user_api_key_user_id": account.id,
            "requester_ip_address": account.address,
            "requester_metadata": {"ja4": account.ja4},
        },
        "model_parameters": {"tools": json.loads(account.tools)} if account.tools else {"temperature": 0.7},
        "messages": [{"role": "user", "content": prompt}],
        "response": {"choices": [{"message": {"role": "assistant", "content": "…"}}]},
    }
