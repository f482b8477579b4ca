import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.tlog.merkle import MAX_SIZE, Frontier, leaf_hash
from tocsin.tlog.tiles import (
    BadTile,
    Tile,
    bundle_path,
    encode_bundle,
    encode_tile,
    parse_bundle,
    parse_tile,
    parse_tile_path,
    tile_path,
    tile_width,
)


def test_the_specification_examples():
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(2, 0, 1) == "tile/2/000.p/1"
    assert bundle_path(273, 112) == "tile/entries/273.p/112"
    widths = [tile_width(*at, 70_000) for at in ((0, 272), (0, 273), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0))]
    assert widths == [256, 112, 256, 17, 1, 0, 0]
    assert [tile_width(0, 0, 256), tile_width(0, 1, 256), tile_width(1, 0, 256)] == [256, 0, 1]


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, MAX_SIZE // 256), st.integers(1, 256))
def test_paths_round_trip(level, index, width):
    tile = Tile(level, index, width)
    assert parse_tile_path(tile.path()) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/0",
        "tile/0/67",
        "tile/00/067",
        "tile/64/067",
        "tile/-1/067",
        "tile/x/067",
        "tile/0/x000/067",
        "tile/0/001/067",
        "tile/0/x001/x067",
        "tile/0/1067",
        "tile/0/067.p/0",
        "tile/0/067.p/01",
        "tile/0/067.p/256",
        "tile/0/067.p/",
        "tile/0/067\n",
        "tile/0/٠٦٧",
        "/tile/0/067",
        "tile/0/../067",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 7 + "000",
    ],
)
def test_a_path_that_is_no_tile_is_refused(path):
    with pytest.raises(BadTile):
        parse_tile_path(path)


@given(st.text(max_size=40))
def test_hostile_text_is_refused_or_round_trips(text):
    try:
        tile = parse_tile_path(text)
    except BadTile:
        return
    assert tile.path() == text


def test_tiles_hold_the_nodes_of_the_tree():
    hashes = [leaf_hash(bytes([n // 256, n % 256])) for n in range(520)]
    nodes = {(level, at): node for level, at, node in Frontier().append(hashes)[1]}
    for level, index in ((0, 0), (0, 1), (0, 2), (1, 0)):
        tile = Tile(level, index, tile_width(level, index, 520))
        held = [nodes[node] for node in tile.nodes()]
        assert parse_tile(encode_tile(held), tile.width) == held
    assert Tile(1, 0, 2).nodes() == [(8, 0), (8, 1)]
    assert Tile(None, 1, 2).nodes() == [(0, 256), (0, 257)]
    base, _ = Frontier().append(parse_tile(encode_tile(hashes[256:512]), 256))
    assert base.root() == nodes[8, 1], "a hash of level 1 is the root of the full tile below it"


@given(st.lists(st.binary(max_size=90), min_size=1, max_size=256))
def test_bundles_round_trip(leaves):
    data = encode_bundle(leaves)
    assert parse_bundle(data, len(leaves)) == leaves
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(BadTile):
            parse_bundle(wrong, len(leaves))
    with pytest.raises(BadTile):
        parse_bundle(data, len(leaves) + 1)


@given(st.binary(max_size=60), st.integers(-1, 300))
def test_hostile_bytes_are_refused_or_round_trip(data, width):
    try:
        leaves = parse_bundle(data, width)
    except BadTile:
        return
    assert encode_bundle(leaves) == data


def test_a_tile_or_bundle_outside_its_limits_is_refused():
    for bad in ((-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, MAX_SIZE, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(BadTile):
            Tile(*bad)
    for data, width in ((b"", 0), (bytes(32), 2), (bytes(33), 1), (bytes(257 * 32), 257)):
        with pytest.raises(BadTile):
            parse_tile(data, width)
    for leaves in ([], [b""] * 257, [bytes(65536)]):
        with pytest.raises(BadTile):
            encode_bundle(leaves)
    with pytest.raises(BadTile):
        encode_tile([])
