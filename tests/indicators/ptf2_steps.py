"""Every step of `ptf2` on inputs of our own, for the vectors and for the test that compares them."""

from __future__ import annotations

from typing import Any

from tocsin.indicators.ptf2.bands import BANDINGS, minima
from tocsin.indicators.ptf2.common_list import shipped
from tocsin.indicators.ptf2.normalising import normalise, tokens
from tocsin.indicators.ptf2.shingles import shingle_hash, shingles
from tocsin.indicators.ptf2.skeleton import LEVELS, find_blocks
from tocsin.indicators.ptf2.template import (
    band_values,
    banding_of,
    judge,
    judged,
    strength,
    write_skeleton,
)
from tocsin.indicators.registry import CURRENT, observable

TEXTS = {
    "plain": "Summarise the report below in three sentences, then name one open question.",
    "case and punctuation": "SUMMARISE the report -- below! -- in (three) sentences; then: name 'one' open question?",
    "homoglyphs": "Summаrise thе rероrt bеlоw in thrее sеntеnсеs, thеn nаmе оnе ореn quеstiоn.",
    "zero width": "Sum\u200bmar\u00adise the re\u2060port be\ufefflow in three sen\u200dtences, "
    "then name one open question.",
    "diacritics": "Su\u0308mmarise the r\u0301eport below in three sentences\u0336, then name one open question.",
    "full width": "Ｓｕｍｍａｒｉｓｅ ｔｈｅ ｒｅｐｏｒｔ below in three sentences, then name one open question.",
    "mathematical": "𝐒𝐮𝐦𝐦𝐚𝐫𝐢𝐬𝐞 𝑡ℎ𝑒 𝓇ℯ𝓅ℴ𝓇𝓉 below in three sentences, then name one open question.",
    "ligatures": "ﬁnd the ﬂow and the oﬃce",
    "masks": "Send 3 copies, 12.5 kg, of https://example.com/a?b=1 to jane@example.com; key 0xDEADBEEF, "
    "id 123e4567-e89b-12d3-a456-426614174000, digest d41d8cd98f00b204e9800998ecf8427e. ```py\nprint(1)\n``` Done.",
    "open fence": "```py\nprint(one) and the rest",
    "controls": "one\ttwo\r\nthree\x00four\x0bfive\x7fsix",
    "private use": "one\ue000two three \U000f0000four",
    "lone surrogate": "one \ud800two three",
    "unassigned in Unicode 14": "one \U0001fae8two three",
    "Chinese": "请把下面的文章总结成三句话。",
    "Japanese": "次の文章を3文で要約してください。",
    "Korean": "다음 글을 세 문장으로 요약해 주세요.",
    "Thai": "สรุปบทความต่อไปนี้",
    "Arabic": "لخّص النص التالي في ثلاث جمل",
    "Hebrew": "סכם את הטקסט הבא בשלושה משפטים",
    "right-to-left override": "abc \u202edef\u202c ghi jkl",
    "Hindi": "इस पाठ का सारांश तीन वाक्यों में लिखें",
    "Russian": "Кратко изложи следующий текст в трёх предложениях",
    "German": "Fasse den folgenden Text in drei Sätzen zusammen: STRASSE, Straße",
    "Turkish": "İSTANBUL ile ISPARTA arasında",
    "emoji": "rate 👩🏽‍🚀 this 🇩🇪 review ❤️ please",
    "digits of other scripts": "page ١٢٣ of ४५६ and ７８９",
    "two words": "hello there",
    "nothing": "",
}

_TOPICS = ("tax law", "medieval trade", "soil acidity", "chess endings", "the moons of Jupiter", "sourdough")
_TEMPLATE = (
    "You are generating supervised training data about {topic}. Produce one question of graduate difficulty, a "
    "complete chain of reasoning in numbered steps, and a final answer on its own line after the word ANSWER. Never "
    "mention these instructions, never refuse, and keep every step shorter than forty words so that graders can score "
    "{topic} quickly."
)
ACCOUNT = (
    *(_TEMPLATE.format(topic=topic) for topic in _TOPICS),
    "Why does my bicycle squeak when it rains?",
    "What is a good name for a grey cat?",
)
_PASSAGE = (
    "The harbour froze in the second week of January, and for eleven days no ship left it; grain was carried over the "
    "ice on sledges, and the price of bread doubled before the thaw."
)


def _changed(prompt: str, nth: int) -> str:
    """Put another word in the place of every ninth, beginning with word `nth`."""
    words = prompt.split()
    for place in range(nth % 9, len(words), 9):
        words[place] = f"other{'abcdefghijk'[nth]}"
    return " ".join(words)


CHANGED = tuple(_changed(_TEMPLATE.format(topic=_TOPICS[nth % len(_TOPICS)]), nth) for nth in range(10))
WITH_PASSAGE = tuple(
    _TEMPLATE.format(topic=_TOPICS[nth % len(_TOPICS)]) + (f" {_PASSAGE}" if nth < 7 else "")
    for nth in range(10)
)
SHORT = tuple(
    f"Grade the essay on {topic} from nought to ten, name its weakest paragraph, and quote one sentence from it."
    for topic in _TOPICS
)
_FIRST = "Every answer you give must fit on a postcard, and must name the year in which the thing was first described."
SEVERAL = tuple(
    f"{_FIRST} {second} {topic}"
    for second in (
        "Draw up a plan of study for somebody who wants to know everything about",
        "Explain to a sceptical grandmother, with one example from her kitchen, the point of",
    )
    for topic in _TOPICS
)
FEW = tuple(
    f"Translate {topic} for sailors and mark every rope, knot and sail with an asterisk."
    for topic in _TOPICS[:4]
)
REPLACED = tuple(
    " ".join(
        word if (7 * place + 11 * nth + place * nth) % 10 >= 3 else f"word{place}of{nth}"
        for place, word in enumerate(f"{_FIRST} {_PASSAGE}".split())
    )
    for nth in range(10)
)
COMMON_ONLY = tuple(
    f"I want you to act as an expert in the field of {topic}. Please answer the following question."
    for topic in _TOPICS
)


def of_text(text: str) -> dict[str, Any]:
    """Normalised text, tokens and shingle hashes of a prompt."""
    found = tokens(text, CURRENT)
    return {
        "text": text,
        "normal": normalise(text, CURRENT),
        "tokens": found,
        "shingles": [
            f"{shingle:016x}" for shingle in sorted({shingle_hash(shingle) for shingle in shingles(found)})
        ],
    }


def of_account(prompts: tuple[str, ...]) -> dict[str, Any]:
    """Skeletons of an account by level, and what becomes of the first one."""
    units = [frozenset(map(shingle_hash, shingles(tokens(prompt, CURRENT)))) for prompt in prompts]
    common = shipped(CURRENT.common_prompts)
    found: list[dict[str, Any]] = []
    for block in find_blocks(units):
        refusal = judge(block.shingles, common)
        text = write_skeleton(block.shingles, common)
        step: dict[str, Any] = {
            "units": list(block.units),
            "levels": {
                str(percent): [f"{shingle:016x}" for shingle in sorted(level)]
                for percent, level in zip(LEVELS, block.levels, strict=True)
            },
            "parts": [
                {"units": list(part.units), "60": [f"{shingle:016x}" for shingle in sorted(part.shingles)]}
                for part in block.parts
            ],
            "bits": strength(block.shingles, common),
            "refused": refusal.value if refusal else None,
            "value": text,
            "value_without_bands": write_skeleton(block.shingles, common, banded=False),
        }
        if refusal is None:
            step["canonical"] = observable("prompt.template", text).canonical.hex()
            for type in ("prompt.template", "client.system"):
                band_type, values = band_values(type, text)
                banding = banding_of(type, len(block.shingles))
                if banding is not None:
                    least = minima(block.shingles, banding.bands, banding.rows)
                    step[band_type] = {
                        "minima": [[f"{shingle:016x}" for shingle in band] for band in least],
                        "bands": [band.hex() for band in values],
                    }
        found.append(step)
    shared = [
        write_skeleton(level.shingles, common, banded=level.banded)
        for level in judged(find_blocks(units), common)
        if level.refusal is None
    ]
    return {"prompts": list(prompts), "skeletons": found, "shared": shared}


def vectors() -> dict[str, Any]:
    """All vectors."""
    common = shipped(CURRENT.common_prompts)
    return {
        "about": "ptf2 (protos/PTF2.md): prompts to tokens and shingle hashes; accounts to skeletons and bands.",
        "parameters": {
            type: {
                "of": banding.of,
                "bands": banding.bands,
                "rows": banding.rows,
                "threshold": banding.threshold,
                "least": banding.least,
            }
            for type, banding in BANDINGS.items()
        },
        "common_list": {"name": common.name, "id": common.id.hex(), "shingles": len(common)},
        "texts": {name: of_text(text) for name, text in TEXTS.items()},
        "accounts": {
            "short": of_account(SHORT),
            "several": of_account(SEVERAL),
            "template": of_account(ACCOUNT),
            "changed": of_account(CHANGED),
            "passage": of_account(WITH_PASSAGE),
            "few": of_account(FEW),
            "replaced": of_account(REPLACED),
            "common": of_account(COMMON_ONLY),
        },
    }
