"""client.toml, and the files that it names.

1. Environment variables `TOCSIN_CLIENT_<KEY>` take precedence over the file; unknown keys are refused in both.
2. Relative paths begin at the file's folder.
3. The keyring opens with `unlock`, a file of 32 bytes that nobody but its owner may read, or, where it says
   `passphrase`, with the passphrase in the file that TOCSIN_PASSPHRASE_FILE names, else asked at the terminal. Neither
   file may belong to another user, except root.
"""

from __future__ import annotations

import getpass
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tocsin.client.errors import BadConfig
from tocsin.client.secret_files import PASSPHRASE_FILE, read_key_file, read_passphrase_file
from tocsin.sealing.keyring import KeyringError, Passphrase, Secret, UnlockKey, open_keyring

PREFIX = "TOCSIN_CLIENT_"
_TEXT = (
    "federation",
    "member",
    "node",
    "keyring",
    "unlock",
    "certificate",
    "charter",
    "charter_pin",
    "vault",
)
_NUMBERS = {"batch_size": (1_000, 1, 4_096), "in_flight": (4, 1, 64), "timeout_seconds": (30, 1, 30)}
_REQUIRED = frozenset(_TEXT) - {"vault"}
# Read by the command line, not settings of the client.
_OTHER_VARIABLES = frozenset({"TOCSIN_CLIENT_CONFIG"})


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A client's settings. `member` is 16 bytes, `charter_pin` the 32-byte hash of charter version 1.

    `batch_size` is the elements of one evaluation request, `in_flight` the requests under way at once.
    """

    path: Path
    federation: str
    member: bytes
    node: str
    keyring: Path
    unlock: Path | None
    certificate: Path
    charter: Path
    charter_pin: bytes
    vault: Path
    batch_size: int
    in_flight: int
    timeout_seconds: int


def load_config(path: str | os.PathLike[str], environment: Mapping[str, str] = os.environ) -> ClientConfig:
    """Read client.toml, or the one in a folder. Raises `BadConfig`."""
    file = Path(path)
    if file.is_dir():
        file /= "client.toml"
    try:
        settings = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise BadConfig(
            f"{file} does not exist; name the client's folder or file (`tocsin member init` makes one)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{file} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{file} is not TOML: {error}") from None
    for name in environment:
        if name.startswith(PREFIX) and name not in _OTHER_VARIABLES:
            key = name.removeprefix(PREFIX).lower()
            if key not in _TEXT and key not in _NUMBERS:
                raise BadConfig(f"unknown environment variable {name}; unset it")
            settings[key] = environment[name]
    return _parse(file, settings)


def open_secrets(config: ClientConfig) -> dict[str, Secret]:
    """Open the keyring. Raises `BadConfig`."""
    try:
        sealed = config.keyring.read_bytes()
        unlock = UnlockKey(read_key_file(config.unlock)) if config.unlock is not None else _passphrase()
        secrets = open_keyring(sealed, unlock)
    except OSError as error:
        raise BadConfig(
            f"{error.filename}: cannot be read ({error.strerror}); see `keyring` in {config.path}"
        ) from None
    except KeyringError as error:
        raise BadConfig(f"{config.keyring}: {error}") from None
    for name in ("client_hpke", "tls", "vault"):
        if name not in secrets:
            raise BadConfig(
                f"{config.keyring} has no secret `{name}`, so it is no client's keyring; name another file as `keyring`"
            )
    return secrets


def _passphrase() -> Passphrase:
    named = os.environ.get(PASSPHRASE_FILE)
    if named is not None:
        return Passphrase(read_passphrase_file(Path(named)))
    if not sys.stdin.isatty():
        raise BadConfig(
            f"the keyring needs a passphrase, but there is no terminal to ask at; set {PASSPHRASE_FILE}"
        )
    return Passphrase(getpass.getpass("passphrase of the client's keyring: "))


def _parse(file: Path, settings: Mapping[str, object]) -> ClientConfig:
    for key in settings:
        if key not in _TEXT and key not in _NUMBERS:
            raise BadConfig(f"{file}: unknown key {key}; known are {', '.join((*_TEXT, *_NUMBERS))}")
    for key in sorted(_REQUIRED):
        if key not in settings:
            raise BadConfig(f"{file}: the key {key} is missing")
    text = {key: settings[key] for key in _TEXT if key in settings}
    for key, value in text.items():
        if not isinstance(value, str) or not value:
            raise BadConfig(f"{file}: {key} must be text and not empty{_HINTS.get(key, '')}")
    strings = {key: str(value) for key, value in text.items()}

    def path(key: str, default: str = "") -> Path:
        return file.parent / strings.get(key, default)

    return ClientConfig(
        path=file,
        federation=strings["federation"],
        member=_hex(file, "member", strings["member"], 16),
        node=_address(file, strings["node"]),
        keyring=path("keyring"),
        unlock=None if strings["unlock"] == "passphrase" else path("unlock"),
        certificate=path("certificate"),
        charter=path("charter"),
        charter_pin=_hex(file, "charter_pin", strings["charter_pin"], 32),
        vault=path("vault", "vault.db"),
        **{key: _number(file, key, settings.get(key)) for key in _NUMBERS},
    )


_HINTS = {"charter_pin": "; `tocsin charter install` writes it"}


def _hex(file: Path, key: str, text: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != size:
        raise BadConfig(f"{file}: {key} must be {size} bytes in hex{_HINTS.get(key, '')}")
    return value


def _address(file: Path, text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise BadConfig(f'{file}: node must be "host:port", such as "127.0.0.1:7443"')
    return text


def _number(file: Path, key: str, value: object) -> int:
    default, low, high = _NUMBERS[key]
    if value is None:
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadConfig(f"{file}: {key} must be a whole number from {low} to {high}")
    return value
