"""A node's settings: `node.toml`, with `TOCSIN_NODE_*` in the environment above it.

1. Unknown keys are refused, in the file and in the environment, by name.
2. Relative paths are relative to the file's folder.
3. No secret is a setting: keys are in the keyring, which an unlock key file (mode 0600) or a passphrase opens. The
   passphrase comes from the file named in TOCSIN_PASSPHRASE_FILE or from a prompt, never from an argument. A password
   inside a database address is masked wherever settings are shown.
4. Every mistake is a `ConfigError` of one line: which file, which key, what is wrong, how to fix it.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tocsin.node.errors import NodeError

PREFIX = "TOCSIN_NODE_"
PASSPHRASE = "passphrase"  # noqa: S105 - the word that asks for one, not one
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


class ConfigError(NodeError):
    """A mistake in how the node is set up; the message is one line for its operator."""


class NodeConfig(BaseSettings):
    """The settings of one node. Build it with `load_config`, which turns mistakes into `ConfigError`."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    folder: Path = Field(exclude=True)
    """Where relative paths start; set by `load_config`, not a key of the file."""
    federation: str = Field(min_length=1, max_length=64)
    member: str = Field(pattern=r"^[0-9a-f]{32}$")
    listen: str = "127.0.0.1:0"
    """host:port; port 0 takes a free one, which the serving line on standard output names."""
    database: SecretStr = SecretStr("sqlite:///node.db")
    keyring: Path = Path("node.keyring")
    unlock: str = "unlock.key"
    """A key file, or the word `passphrase`."""
    certificate: Path = Path("node.crt")
    charter: Path = Path("charter.json")
    charter_pin: str
    """SHA-256 of the first charter's document, learned out of band."""
    shares: Path = Path("shares")
    tick_seconds: int | None = Field(default=None, ge=1, le=3600)
    """Publishing tick; the charter's if not set."""
    follow_seconds: int | None = Field(default=None, ge=1, le=3600)
    """Time between two rounds of following; the tick if not set."""
    cover_entries: int = Field(default=0, ge=0, le=1000)
    """Cover entries added at every tick."""
    reflection: bool = False
    """Serve grpc reflection to the member's own clients."""
    workers: int | None = Field(default=None, ge=1, le=256)
    """Threads for curve work; as many as there are processors if not set."""
    grace_seconds: int = Field(default=10, ge=0, le=600)
    """How long calls in flight may take to finish when the node stops."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("listen")
    @classmethod
    def _listen_is_an_address(cls, value: str) -> str:
        parsed = _ADDRESS.fullmatch(value)
        if parsed is None:
            raise ValueError('must be "host:port", for example "127.0.0.1:7443" or "[::1]:7443"')
        if int(parsed[2]) > 65_535:
            raise ValueError(f"port must be 0 to 65535, got {parsed[2]}")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment above the file, whose contents come as the initial values."""
        return env_settings, init_settings

    @field_validator("charter_pin")
    @classmethod
    def _pin_is_a_hash(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError(
                "must be the SHA-256 of the first charter in 64 hexadecimal digits; "
                "`tocsin charter install` writes it"
            )
        return value

    @property
    def member_id(self) -> bytes:
        """The member's 16-byte id."""
        return bytes.fromhex(self.member)

    def path(self, relative: Path | str) -> Path:
        """Return a path of the settings from the file's folder."""
        return self.folder / Path(relative).expanduser()

    @property
    def database_url(self) -> str:
        """The database's address; a relative SQLite file is taken from the file's folder. May hold a password."""
        url = self.database.get_secret_value()
        scheme, separator, rest = url.partition(":///")
        if scheme == "sqlite" and separator and rest and not rest.startswith((":memory:", "/", "file:")):
            return f"sqlite:///{self.folder / rest}"
        return url


def load_config(path: Path) -> NodeConfig:
    """Read the settings from a TOML file, or from `node.toml` in a folder, and the environment.

    Raises `ConfigError`.
    """
    if path.is_dir():
        path = path / "node.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `tocsin member init` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None
    fields = set(NodeConfig.model_fields) - {"folder"}
    for key in settings:
        if key not in fields:
            raise ConfigError(f"{path}: unknown key {key!r}; known are {', '.join(sorted(fields))}")
    overridden: set[str] = set()
    for name in os.environ:
        if not name.upper().startswith(PREFIX):
            continue
        key = name.upper().removeprefix(PREFIX).lower()
        if key not in fields:
            raise ConfigError(f"environment: unknown variable {name}")
        overridden.add(key)
    try:
        return NodeConfig(folder=path.resolve().parent, **settings)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        place = f"environment, {PREFIX}{key.upper()}" if key in overridden else f"{path}, key {key!r}"
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            reason = "is required and missing"
        raise ConfigError(f"{place}: {reason}") from None
