"""A real PostgreSQL server for tests, started from the system's binaries, gone when the tests are.

Rules
1. It listens on a socket in its own temporary folder only, so tests on one machine never meet.
2. It refuses to run as root, so under root it runs as `postgres` or `nobody`.
3. Nothing is synced to the disk: a test that needs durability kills the server, not the machine.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

MISSING = "no PostgreSQL server binaries (initdb, pg_ctl); on Debian and Ubuntu: apt-get install postgresql"


class PostgresMissing(Exception):
    """The machine has no PostgreSQL server."""


def server_binaries() -> Path:
    """Return the folder of initdb and pg_ctl. Raises `PostgresMissing`."""
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]), reverse=True
    )
    found = shutil.which("pg_ctl")
    candidates = [*packaged, *([Path(os.path.realpath(found))] if found else [])]
    for pg_ctl in candidates:
        if (pg_ctl.parent / "initdb").exists():
            return pg_ctl.parent
    raise PostgresMissing(MISSING)


class PostgresServer:
    """A running server; a context manager that stops it and removes its folder."""

    def __init__(self) -> None:
        self._binaries = server_binaries()
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))
        self._data = self.folder / "data"
        self._databases = 0
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        try:
            self._run("initdb", "-D", str(self._data), "-U", "tocsin", "-A", "trust", "-E", "UTF8", "--no-sync",
                      "--locale=C")  # fmt: skip
            options = (
                f"-k {self.folder} -c listen_addresses= -c fsync=off -c full_page_writes=off "
                "-c max_connections=60 -c shared_buffers=64MB -c autovacuum=off"
            )
            with (self._data / "postgresql.conf").open("a") as configuration:
                configuration.write("log_min_messages = fatal\n")
            self._options = options
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start and wait until it answers."""
        self._run(
            "pg_ctl",
            "-D",
            str(self._data),
            "-l",
            str(self.folder / "log"),
            "-o",
            self._options,
            "-w",
            "start",
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop; `immediate` is what a crash looks like to its clients."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def restart(self) -> None:
        """Crash and come back."""
        self.stop("immediate")
        self.start()

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Open a connection of the server's owner, in autocommit."""
        return psycopg.connect(host=str(self.folder), user="tocsin", dbname=database, autocommit=True)

    def new_database(self, template: str = "template1") -> str:
        """Create a database, empty or like the one named (to which nobody may be connected), and return its URL."""
        self._databases += 1
        name = f"tocsin_{self._databases}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return f"postgresql+psycopg://tocsin@/{name}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        identity: dict[str, Any] = {}
        if self._user is not None:
            identity = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server inherits it: a pipe would never end
            stderr=subprocess.DEVNULL,
            check=False,
            **identity,
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else 'no log'}")


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissing(
        "PostgreSQL does not run as root, and this machine has neither user postgres nor nobody"
    )
