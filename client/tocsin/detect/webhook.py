"""Decisions delivered to one of the member's own systems by HTTP, as Standard Webhooks 1.0 says.

1. The body is `{"type": "decision.final", "timestamp": …, "data": DECISION}`; `webhook-id` is the same for every
   attempt. `webhook-signature` is `v1,` and the Base64 of HMAC-SHA-256 over `id.timestamp.body`; `webhook-timestamp`
   is the attempt's time, so that a receiver can refuse what is replayed.
2. Only a status from 200 to 299 is delivered. Redirects are never followed: what names a person goes where the team
   said, and nowhere else. An answer's body is not read.
3. The whole exchange has a deadline, however slowly the server answers.
4. What fails is tried again with growing, randomised waits, then put off in the casebook with growing waits;
   Retry-After is obeyed up to `MAX_WAIT_S`. A server that refuses one decision gets the others; one that fails gets
   none until later.
5. TLS is required unless the address is this machine's own. The environment's proxies are not used.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tocsin.client.secret_files import read_key_file
from tocsin.client.timestamps import iso_time
from tocsin.detect.casebook import decisions
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.claiming import Below
from tocsin.detect.casebook.decisions import Due
from tocsin.detect.casebook.settings import Settings
from tocsin.detect.errors import BadWebhook, ExtraMissing, WebhookRefused, WebhookUnavailable

if TYPE_CHECKING:
    import httpx

EVENT = "decision.final"
MAX_WAIT_S = 60
_PREFIX = "whsec_"
_BATCH = 20
_LONGEST_PAUSE_S = 6 * 3600
_AGAIN = {408, 425, 429}
"""Refusals that a server takes back by itself."""
_ABOUT_ONE = {400, 409, 413, 415, 422}
"""Refusals of what was sent, not of whoever sends."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where decisions go. `shown` is what messages may say of it: no path, which may hold a token."""

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    shown: str
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: attempts of one call, seconds before the second, seconds for a whole exchange."""

    attempts: int = 5
    first_wait_s: float = 1.0
    deadline_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What one call delivered, and what waits: not yet due, or put off."""

    delivered: int
    waiting: int


class _Outcome(Enum):
    DELIVERED, AGAIN, REFUSED, REFUSED_ALL = range(4)


@dataclass(frozen=True, slots=True)
class _Answer:
    outcome: _Outcome
    why: str = ""
    wait_s: int = 0


def endpoint(settings: Settings) -> Endpoint:
    """Read the webhook of casebook.toml and its secret. Raises `BadWebhook`, `BadConfig`, OSError."""
    if not settings.webhook:
        raise BadWebhook("no webhook is set: write `webhook` and `webhook_secret` into casebook.toml")
    shown = _checked(settings.webhook)
    if not settings.webhook_secret:
        raise BadWebhook("webhook_secret is not set: name the file that holds the secret in casebook.toml")
    path = settings.folder / settings.webhook_secret
    ca = settings.folder / settings.webhook_ca if settings.webhook_ca else None
    if ca is not None and not ca.is_file():
        raise BadWebhook(f"{ca} does not exist: webhook_ca must name a file of PEM certificates")
    return Endpoint(settings.webhook, _secret(read_key_file(path), path), shown, ca)


def signature(secret: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature` of a message (rule 1)."""
    signed = b".".join((id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, sha256)).decode()


def body_of(waiting: Due) -> bytes:
    """Return what is sent for a decision (rule 1)."""
    document = {
        "type": EVENT,
        "timestamp": iso_time(waiting.decision["time"]),
        "data": waiting.decision,
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def send(
    book: Casebook, to: Endpoint, now: Callable[[], int], below: Below, patience: Patience | None = None
) -> Sent:
    """Deliver every decision that is due. What could not be delivered is due again later.

    Raises `WebhookUnavailable`, `WebhookRefused`, `BadWebhook`, `ExtraMissing`.
    """
    return asyncio.run(_send(book, to, now, below, patience or Patience()))


async def _send(
    book: Casebook, to: Endpoint, now: Callable[[], int], below: Below, patience: Patience
) -> Sent:
    delivered, refused, why = 0, 0, ""
    async with _client(to, patience.deadline_s) as client:
        while True:
            with book.database.writing() as connection:
                batch = decisions.take_due(connection, now(), _BATCH)
            if not batch:
                break
            for place, waiting in enumerate(batch):
                try:
                    answer, attempts = await _deliver(client, to, waiting, now, below, patience)
                except BaseException:  # interrupted: what was taken is due at once
                    _give_back(book, batch[place:], now())
                    raise
                if answer.outcome is _Outcome.DELIVERED:
                    with book.database.writing() as connection:
                        decisions.mark_delivered(connection, [waiting.no], now())
                    delivered += 1
                    continue
                total = waiting.attempts + attempts
                pause = min(60 * 2 ** min(total, 10), _LONGEST_PAUSE_S)
                with book.database.writing() as connection:
                    decisions.put_off(connection, waiting.no, total, now() + pause + below(pause))
                if answer.outcome is _Outcome.REFUSED:
                    refused, why = refused + 1, answer.why
                    continue
                _give_back(book, batch[place + 1 :], now())
                raise _failed(to, answer, delivered)
    if refused:
        raise WebhookRefused(
            f"{to.shown} refused {refused} of {delivered + refused} decisions ({why}): see what it says about them; "
            "they wait and are sent again later"
        )
    with book.database.reading() as connection:
        return Sent(delivered, decisions.waiting(connection))


def _failed(to: Endpoint, answer: _Answer, delivered: int) -> WebhookUnavailable | WebhookRefused:
    so_far = f"{delivered} delivered before; what is left waits and is sent again by a later call"
    if answer.outcome is _Outcome.REFUSED_ALL:
        return WebhookRefused(f"{to.shown} {answer.why}; {so_far}")
    return WebhookUnavailable(f"{to.shown} {answer.why}; {so_far}")


def _give_back(book: Casebook, taken: list[Due], now: int) -> None:
    with book.database.writing() as connection:
        for waiting in taken:
            decisions.put_off(connection, waiting.no, waiting.attempts, now)


async def _deliver(
    client: httpx.AsyncClient,
    to: Endpoint,
    waiting: Due,
    now: Callable[[], int],
    below: Below,
    patience: Patience,
) -> tuple[_Answer, int]:
    """Try one decision until it is delivered, refused, or the attempts are used up (rule 4)."""
    body, answer, attempt = body_of(waiting), _Answer(_Outcome.AGAIN), 0
    for attempt in range(1, patience.attempts + 1):
        answer = await _post(client, to, waiting.id, now(), body, patience.deadline_s)
        if answer.outcome is not _Outcome.AGAIN or attempt == patience.attempts:
            break
        wait = patience.first_wait_s * 2 ** (attempt - 1)
        await asyncio.sleep(max(wait / 2 + wait / 2 * below(1_000) / 1_000, answer.wait_s))
    return answer, attempt


async def _post(
    client: httpx.AsyncClient, to: Endpoint, id: str, timestamp: int, body: bytes, deadline_s: float
) -> _Answer:
    import httpx

    headers = {
        "content-type": "application/json",
        "user-agent": "tocsin",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(to.secret, id, timestamp, body),
    }
    try:
        async with (
            asyncio.timeout(deadline_s),
            client.stream("POST", to.url, content=body, headers=headers) as response,
        ):
            return _judged(response.status_code, response.headers.get("retry-after", ""))
    except TimeoutError:
        return _Answer(_Outcome.AGAIN, f"gave no answer within {deadline_s:g} s")
    except httpx.TransportError as error:
        if _is_about_the_certificate(error):
            return _Answer(
                _Outcome.REFUSED_ALL, "has a certificate that does not verify: set webhook_ca, or renew it"
            )
        return _Answer(_Outcome.AGAIN, f"cannot be reached ({type(error).__name__})")


def _judged(status: int, retry_after: str) -> _Answer:
    if 200 <= status < 300:
        return _Answer(_Outcome.DELIVERED)
    if 300 <= status < 400:
        return _Answer(
            _Outcome.REFUSED_ALL,
            f"redirects elsewhere (status {status}), which is never followed: set `webhook` to the final address",
        )
    if status >= 500 or status in _AGAIN:
        seconds = (
            int(retry_after)
            if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 9
            else 0
        )
        return _Answer(_Outcome.AGAIN, f"fails (status {status})", min(seconds, MAX_WAIT_S))
    if status in _ABOUT_ONE:
        return _Answer(_Outcome.REFUSED, f"status {status}")
    return _Answer(
        _Outcome.REFUSED_ALL, f"refuses (status {status}): check address and secret in casebook.toml"
    )


def _is_about_the_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _client(to: Endpoint, deadline_s: float) -> httpx.AsyncClient:
    try:
        import httpx
    except ImportError:
        raise ExtraMissing("httpx") from None
    try:
        context = ssl.create_default_context(cafile=None if to.ca is None else str(to.ca))
    except ssl.SSLError:
        raise BadWebhook(f"{to.ca} holds no PEM certificate: name another file in webhook_ca") from None
    # One connection: decisions arrive in order, and a slow server is not flooded.
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    return httpx.AsyncClient(
        verify=context, trust_env=False, follow_redirects=False, timeout=deadline_s, limits=limits
    )


def _checked(url: str) -> str:
    """Return what may be shown of an address. Raises `BadWebhook` (rule 5)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if (
        host is None
        or parts.scheme not in {"https", "http"}
        or not url.isascii()
        or any(map(str.isspace, url))
    ):
        raise BadWebhook("webhook must be an https address such as https://hooks.example.com/abuse")
    if parts.username is not None or parts.password is not None:
        raise BadWebhook("webhook must hold no name or password: the signature says who sends")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise BadWebhook(
            "webhook must begin with https://: plain http is only for this machine's own address"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secret(content: bytes, path: Path) -> bytes:
    """Return the key of a secret file. Raises `BadWebhook`, which never quotes it."""
    try:
        text = content.decode("ascii").strip()
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else b""
    except (UnicodeDecodeError, binascii.Error):
        key = b""
    if not 24 <= len(key) <= 64:
        raise BadWebhook(
            f"{path} must hold {_PREFIX} and the Base64 of 24 to 64 random bytes, as Standard Webhooks says"
        )
    return key
