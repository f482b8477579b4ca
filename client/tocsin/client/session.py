"""What all calls of one client share: its vault, node, charter and evaluator, and whether it can still be used.

Rules
1. A call begins with `call`, which reads the clock once: everything in it works with that one time.
2. A closed client says that it is closed, also to calls that were under way. After a fork the child's copy has no
   threads and may not touch the parent's connections, so it says that it was carried over, and closing it does nothing.
3. Newer charters are asked for every five minutes, and where the current one expired.
4. Errors of the core that a call did not expect become a `TocsinError` here, with their cause.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

from tocsin.charter.errors import BadCharter
from tocsin.client import deadline, system
from tocsin.client.charters import ActiveCharter, CharterKeeper
from tocsin.client.config import ClientConfig, load_config, open_secrets
from tocsin.client.errors import (
    BadArgument,
    BadVault,
    CharterRefused,
    ClientClosed,
    ForkedClient,
    Unavailable,
)
from tocsin.client.evaluating import Evaluator
from tocsin.client.outbox import Outbox
from tocsin.client.ports import NodeApi
from tocsin.client.vault import Vault, open_vault
from tocsin.client.vault_lock import VaultLock

REFRESH_SECONDS = 300.0

logger = logging.getLogger("tocsin.client")
logging.getLogger("tocsin").addHandler(logging.NullHandler())


def open_session(path: str | os.PathLike[str] | ClientConfig) -> Session:
    """Open keyring, vault and channel as client.toml says. Nothing is sent yet. Raises as `Client.connect`."""
    if not isinstance(path, str | os.PathLike | ClientConfig):
        raise BadArgument("path", "a path or a ClientConfig", path)
    config = path if isinstance(path, ClientConfig) else load_config(path)
    secrets = open_secrets(config)

    def open_channel(authority: bytes) -> NodeApi:
        from tocsin.client.transport import GrpcNode

        return GrpcNode(config, secrets["tls"], authority)

    vault = open_vault(
        config.vault,
        secrets["vault"],
        federation=config.federation,
        member=config.member,
        pin=config.charter_pin,
        random=system.random_bytes,
    )
    try:
        return Session(config, vault, CharterKeeper(config, vault, secrets["client_hpke"]), open_channel)
    except BaseException:
        vault.close()
        raise


class Session:
    """One open client's shared state. Safe to use from several threads."""

    def __init__(
        self,
        config: ClientConfig,
        vault: Vault,
        keeper: CharterKeeper,
        connect: Callable[[bytes], NodeApi],
    ) -> None:
        """Wire a client together; `connect` opens the node under a CA (DER)."""
        self.config = config
        self.vault = vault
        self._keeper = keeper
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._closed = False
        self._refreshed: float | None = None
        self._active = keeper.load(system.now())
        self.node = connect(keeper.certificate_authority())
        self.evaluator = Evaluator(
            self.node, vault.pending, system.random_bytes, config.batch_size, config.in_flight
        )
        self.outbox = Outbox(vault, system.random_bytes)
        self.vault_lock = VaultLock(config.vault)
        logger.info("opened the client of member %s in %s", config.member.hex(), config.federation)

    def check_open(self) -> None:
        """Raise `ForkedClient` or `ClientClosed` where the client can no longer be used (rule 2)."""
        if os.getpid() != self._process:
            raise ForkedClient(self._process, os.getpid())
        if self._closed:
            raise ClientClosed

    @contextmanager
    def call(self, timeout: float | None = None) -> Iterator[int]:
        """Begin a call: yields its reference time in unix seconds (rules 1, 2 and 4)."""
        self.check_open()
        try:
            with deadline.within(timeout):
                deadline.check()
                yield system.now()
        except BadCharter as error:
            raise CharterRefused(str(error)) from error
        except (Unavailable, BadVault, RuntimeError, CancelledError):
            # Closing ends what is under way through the channel, the vault and the threads, each in its own words.
            self.check_open()
            raise

    def close(self) -> None:
        """End threads, channel and vault. Idempotent; in a forked child nothing happens."""
        if os.getpid() != self._process:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        # The channel first: what is still under way then ends at once, which matters when a user interrupts.
        self.node.close()
        self.evaluator.close()
        self.vault.close()
        logger.info("closed the client of member %s", self.config.member.hex())

    def charter(self, now: int) -> ActiveCharter:
        """Return the charter to work under, asking for newer ones now and then (rule 3)."""
        with self._lock:
            due = self._refreshed is None or system.monotonic() - self._refreshed > REFRESH_SECONDS
            if self._active is None or due or now >= self._active.charter.expires:
                return self.refresh(now)
            return self._active

    def refresh(self, now: int) -> ActiveCharter:
        """Fetch and verify newer charters, and return the one to work under."""
        with self._lock:
            before = self._active
            self._active = self._keeper.refresh(self.node, before, now)
            self._refreshed = system.monotonic()
            if before is None or before.charter.version != self._active.charter.version:
                logger.info("using charter version %d", self._active.charter.version)
            return self._active
