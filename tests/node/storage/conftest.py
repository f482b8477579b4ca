from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.node.storage import material as m
from tests.postgres_server import PostgresMissing, PostgresServer
from tocsin.node.storage.open import open_store


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    try:
        server = PostgresServer()
    except PostgresMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """An empty database on a real server."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store's file: most tests copy it, because migrating takes longer than they do."""
    path = tmp_path_factory.mktemp("template") / "node.db"
    open_store(f"sqlite:///{path}", m.FEDERATION, m.OWN).close()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """A new store's database, to be copied."""
    url = postgres_server.new_database()
    open_store(url, m.FEDERATION, m.OWN).close()
    return str(make_url(url).database)


@pytest.fixture
def new_sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A new store of `m.OWN`."""
    shutil.copy(sqlite_template, tmp_path / "node.db")
    return f"sqlite:///{tmp_path}/node.db"


@pytest.fixture
def new_postgres_url(postgres_server: PostgresServer, postgres_template: str) -> str:
    """A new store of `m.OWN`."""
    return postgres_server.new_database(postgres_template)
