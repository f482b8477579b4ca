"""The published vectors of ptf2, and what they must have in common whatever made them."""

import base64
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.indicators.ptf2_steps import vectors
from tocsin.indicators.registry import observable

PUBLISHED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "ptf2.json").read_text())
TEXTS: dict[str, Any] = PUBLISHED["texts"]
TEMPLATE = PUBLISHED["accounts"]["template"]["skeletons"][0]


def test_the_product_makes_the_published_vectors() -> None:
    assert vectors() == PUBLISHED, "run: make vectors, and only if the form's version changed"


def test_every_member_has_the_same_bands_rows_and_threshold() -> None:
    assert {type: tuple(values.values()) for type, values in PUBLISHED["parameters"].items()} == {
        "prompt.template-band": ("prompt.template", 160, 2, 3, 32),
        "prompt.template-short-band": ("prompt.template", 32, 2, 3, 12),
        "client.system-band": ("client.system", 64, 3, 3, 16),
    }


@pytest.mark.parametrize(
    "dressed",
    ["case and punctuation", "homoglyphs", "zero width", "diacritics", "full width", "mathematical"],
)
def test_a_dressed_up_prompt_has_the_tokens_of_the_plain_one(dressed: str) -> None:
    assert TEXTS[dressed]["text"] != TEXTS["plain"]["text"]
    assert TEXTS[dressed]["tokens"] == TEXTS["plain"]["tokens"]


def test_shingle_hashes_again_with_nothing_but_sha256() -> None:
    for text in TEXTS.values():
        words = text["tokens"]
        expected = {
            hashlib.sha256(b"ptf2\x1f" + " ".join(words[at : at + 3]).encode()).hexdigest()[:16]
            for at in range(len(words) - 2)
        }
        assert set(text["shingles"]) == expected


def test_the_skeleton_is_what_all_six_conversations_share() -> None:
    prompts = PUBLISHED["accounts"]["template"]["prompts"]
    assert TEMPLATE["units"] == [0, 1, 2, 3, 4, 5]
    for prompt in prompts[6:]:
        assert "supervised" not in prompt
    assert TEMPLATE["levels"]["60"] == TEMPLATE["levels"]["100"]
    assert len(TEMPLATE["levels"]["60"]) == 48


def test_value_canonical_bytes_and_bands_again_with_nothing_but_sha256() -> None:
    hashes = [int(shingle, 16) for shingle in TEMPLATE["levels"]["60"]]
    packed = struct.pack(f">{len(hashes)}Q", *hashes)
    id = PUBLISHED["common_list"]["id"]
    text = f"ptf2:{id}:{base64.urlsafe_b64encode(packed).rstrip(b'=').decode()}"
    assert TEMPLATE["value"] == text
    assert TEMPLATE["value_without_bands"] == text.replace("ptf2:", "ptf2-exact:")
    canonical = b"ptf2" + bytes.fromhex(id) + hashlib.sha256(packed).digest()
    assert TEMPLATE["canonical"] == canonical.hex() == observable("prompt.template", text).canonical.hex()
    assert observable("prompt.template", text.replace("ptf2:", "ptf2-exact:")).bands == ()


@pytest.mark.parametrize(
    ("account", "type"),
    [
        ("template", "prompt.template-band"),
        ("short", "prompt.template-short-band"),
        ("template", "client.system-band"),
    ],
)
def test_bands_again_with_nothing_but_sha256(account: str, type: str) -> None:
    step = PUBLISHED["accounts"][account]["skeletons"][0]
    parameters, made = PUBLISHED["parameters"][type], step[type]
    hashes, rows = [int(shingle, 16) for shingle in step["levels"]["60"]], parameters["rows"]
    assert len(made["bands"]) == parameters["bands"]
    for band in range(parameters["bands"]):
        values: list[int] = []
        for row in range(band * rows, (band + 1) * rows):
            digest = hashlib.sha256(b"ptf2-perm" + struct.pack(">H", row)).digest()
            a, b = int.from_bytes(digest[:8], "big") | 1, int.from_bytes(digest[8:16], "big")
            ranked = sorted((((a * h + b) % 2**64) >> 32, h) for h in hashes if h not in values)
            values.append(ranked[0][1])
        assert [f"{value:016x}" for value in values] == made["minima"][band]
        digest = hashlib.sha256(struct.pack(f">{rows}Q", *values)).digest()
        id = bytes.fromhex(PUBLISHED["common_list"]["id"])
        assert made["bands"][band] == (b"ptf2" + id + bytes([band + 1]) + digest).hex()
    bands = observable(parameters["of"], step["value"]).bands
    assert [(band.type, band.canonical.hex()) for band in bands] == [(type, band) for band in made["bands"]]


def test_what_several_templates_begin_with_is_one_block_and_each_of_them_is_a_part() -> None:
    (found,) = PUBLISHED["accounts"]["several"]["skeletons"]
    assert len(found["units"]) == 12
    assert sorted(part["units"] for part in found["parts"]) == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    for part in found["parts"]:
        assert set(part["60"]) > set(found["levels"]["60"])


def test_levels_of_a_template_whose_words_change_in_each_prompt() -> None:
    (changed,) = PUBLISHED["accounts"]["changed"]["skeletons"]
    sizes = [len(level) for level in changed["levels"].values()]
    assert sizes[0] == len(TEMPLATE["levels"]["60"])
    assert sizes[-1] < sizes[0]
    assert set(changed["levels"]["40"]) == set(TEMPLATE["levels"]["60"])


def test_a_passage_of_seven_of_ten_conversations_is_in_no_level() -> None:
    (found,) = PUBLISHED["accounts"]["passage"]["skeletons"]
    assert found["levels"]["60"] == TEMPLATE["levels"]["60"]


def test_everyday_phrases_are_refused_as_common() -> None:
    found = PUBLISHED["accounts"]["common"]["skeletons"]
    assert [skeleton["refused"] for skeleton in found] == ["template.common"]
