"""The migrations and the tables are two descriptions of one schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from tests.node.storage import material as m
from tocsin.node.storage import schema, tables
from tocsin.node.storage.open import open_store


def described(engine: Engine) -> dict[str, object]:
    """What a database says of itself, without the version table."""
    found: dict[str, object] = {}
    seen = inspect(engine)
    for name in sorted(seen.get_table_names()):
        if name != "alembic_version":
            columns = [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(name)]
            indexes = sorted(
                (i["name"] or "", tuple(i["column_names"]), i["unique"]) for i in seen.get_indexes(name)
            )
            keys = seen.get_pk_constraint(name)["constrained_columns"]
            unique = sorted(tuple(u["column_names"]) for u in seen.get_unique_constraints(name))
            found[name] = (columns, indexes, keys, unique)
    return found


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_migrations_make_the_tables(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if kind == "sqlite":
        migrated, made = f"sqlite:///{tmp_path}/migrated.db", f"sqlite:///{tmp_path}/made.db"
    else:
        server = request.getfixturevalue("postgres_server")
        migrated, made = server.new_database(), server.new_database()
    open_store(migrated, m.FEDERATION, m.OWN).close()
    by_migration, by_tables = create_engine(migrated), create_engine(made)
    tables.metadata.create_all(by_tables)
    assert described(by_migration) == described(by_tables)
    with by_migration.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    if kind == "sqlite":
        query = text(
            "SELECT name, sql LIKE '%WITHOUT ROWID%' FROM sqlite_master WHERE type = 'table' ORDER BY name"
        )
        with by_migration.connect() as one, by_tables.connect() as other:
            assert [row for row in one.execute(query) if row[0] != "alembic_version"] == list(
                other.execute(query)
            )
    by_migration.dispose()
    by_tables.dispose()


def test_the_list_of_versions_is_that_of_the_migrations() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(schema.configuration(connection))
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(revisions)) == schema.VERSIONS
    engine.dispose()


def test_an_interrupted_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    url = f"sqlite:///{tmp_path}/node.db"
    monkeypatch.setattr(schema, "_bind", stop)
    with pytest.raises(Stop):
        open_store(url, m.FEDERATION, m.OWN)
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    monkeypatch.undo()
    open_store(url, m.FEDERATION, m.OWN).close()


def test_a_second_start_imports_no_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/node.db"
    open_store(url, m.FEDERATION, m.OWN).close()
    program = (
        "import sys; from tocsin.node.storage.open import open_store;"
        f"open_store({url!r}, {m.FEDERATION!r}, bytes([1]) * 16).close();"
        "print('alembic' in sys.modules, 'psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
