"""Facts about the tree that no tool checks by itself."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs import house

ROOT = Path(__file__).resolve().parents[2]
PORTIONS = ("privacy", "protos", "client", "node")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


@pytest.mark.parametrize("portion", PORTIONS)
def test_the_namespace_package_has_no_init(portion: str) -> None:
    assert not (ROOT / portion / "tocsin" / "__init__.py").exists()


def test_every_package_of_the_namespace_is_listed_for_import_linter() -> None:
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    )
    present = {
        f"tocsin.{folder.name}"
        for portion in PORTIONS
        for folder in (ROOT / portion / "tocsin").iterdir()
        if folder.is_dir() and any(path.suffix == ".py" for path in folder.rglob("*.py"))
    }
    assert listed == present


def test_every_package_is_in_the_layers_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract for contract in settings["contracts"] if contract["type"] == "layers")["layers"]
    named = {name.strip() for layer in layers for name in layer.split("|")}
    assert named == set(settings["root_packages"])


def test_regenerating_the_grpc_modules_changes_nothing(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "protos" / "generate.py", tmp_path], check=True, capture_output=True
    )
    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.py*")}
    kept = {
        path.relative_to(ROOT / "protos"): path.read_bytes()
        for path in (ROOT / "protos" / "tocsin" / "v1").glob("*_pb2*.py*")
    }
    assert fresh
    assert fresh.keys() == kept.keys()
    assert [str(name) for name in fresh if fresh[name] != kept[name]] == [], "run: make protos"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locked_requirements_carry_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?://|index-url|find-links|@ file", text)
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert requirements
    assert [line.split()[0] for line in requirements if "--hash=sha256:" not in line] == []


def test_files_are_not_named_for_leftovers() -> None:
    forbidden = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc)\.py$")
    assert [str(path) for path in tracked("*.py") if forbidden.search(path.name)] == []


def test_no_check_is_switched_off_without_a_reason() -> None:
    silent = re.compile(r"#\s*(type:\s*ignore(\[[^\]]*\])?|noqa(:\s*[A-Z0-9, ]+)?|pragma: no cover)\s*$")
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py")
        if not re.search(r"_pb2(_grpc)?\.py$", path.name)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if silent.search(line)
    ]
    assert offenders == []


def test_test_modules_have_distinct_names() -> None:
    names = [path.name for path in tracked("tests/**/test_*.py", "tests/test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_the_readme_names_both_commands_on_its_first_screen() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_the_parts_import_as_one_product() -> None:
    names = ("oprf", "sealing", "indicators", "tlog", "charter", "v1", "client", "cli", "node")
    assert [name for name in names if importlib.util.find_spec(f"tocsin.{name}") is None] == []


def test_the_picture_of_the_house_is_what_its_command_draws() -> None:
    assert house.PICTURE.read_text() == house.picture(), "run: make readme"


def test_the_page_on_the_house_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    paths = set(re.findall(r"`([\w./-]+/[\w./-]*)`", page)) - {"tocsin/__init__.py"}
    roots = (ROOT, ROOT / "node/tocsin/node", ROOT / "node/tocsin/node/service", ROOT / "client/tocsin")
    assert [path for path in paths if not any((root / path).exists() for root in roots)] == []
