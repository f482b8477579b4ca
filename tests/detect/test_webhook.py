"""Decisions reach a webhook once in effect, signed, whatever its server does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.detect.casebook.scored import NOW, never, opened, scored, taken
from tocsin.cli.main import run
from tocsin.client.errors import BadConfig
from tocsin.detect import webhook
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.deciding import Decision, decide
from tocsin.detect.casebook.flags import list_flags
from tocsin.detect.errors import BadWebhook, WebhookRefused, WebhookUnavailable
from tocsin.detect.webhook import Endpoint, Patience, Sent

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
QUICK = Patience(attempts=3, first_wait_s=0.01, deadline_s=0.5)
Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """A real HTTP server on this machine. `answers` are used up one a request; after them it answers 204."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]


def status(code: int, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("content-length", "0")
        request.end_headers()

    return answer


def late(request: BaseHTTPRequestHandler) -> None:
    time.sleep(0.8)
    status(200)(request)


def drip(request: BaseHTTPRequestHandler) -> None:
    """A header now and then, for ever: no single read takes long."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(40):
        request.wfile.write(f"x-{number}: y\r\n".encode())
        request.wfile.flush()
        time.sleep(0.1)


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.close()


def nonsense(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"\x00\xff this is not HTTP\r\n\r\n")
    request.close_connection = True


def endless(request: BaseHTTPRequestHandler) -> None:
    """Accepted, with a body that does not end: only the status counts."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(40):
        request.wfile.write(b"1\r\nx\r\n")
        request.wfile.flush()
        time.sleep(0.1)


def write_certificate(folder: Path) -> None:
    """A certificate that signs itself, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)  # noqa: TID251 - TLS libraries compare with the system's clock
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(private)


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    about = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            about.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            try:
                (about.answers.pop(0) if about.answers else status(204))(self)
            except OSError:
                self.close_connection = True  # the client gave up

        def log_message(self, *_: Any) -> None:
            pass

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                self.close_connection = True

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if context is None else "https"
    about.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/hook/token"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield about
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as about:
        yield about


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Casebook]:
    with opened(tmp_path / "casebook") as book:
        taken(book, scored("a1"), scored("a2"), scored("a3"))
        for flag in flags(book):
            decide(book, flag, Decision("confirmed", "own-evidence", "ann", "my own words"), NOW, never)
        yield book


def flags(book: Casebook) -> list[int]:
    with book.database.reading() as connection:
        return [flag.no for flag in list_flags(connection, NOW)]


def to(server: Server) -> Endpoint:
    return Endpoint(server.url, KEY, "http://127.0.0.1")


def sent(book: Casebook, server: Server, now: int = NOW) -> Sent:
    return webhook.send(book, to(server), lambda: now, never, QUICK)


def test_a_delivery_carries_the_explanation_and_a_signature_that_verifies(
    book: Casebook, server: Server
) -> None:
    assert sent(book, server) == Sent(3, 0)
    for headers, body in server.requests:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert headers["webhook-timestamp"] == str(NOW)
        document = json.loads(body)
        assert document["type"] == "decision.final"
        assert document["data"]["explanation"]["reasons"][0]["reporters"] == ["Alder"]
        assert b"my own words" not in body
    assert [json.loads(body)["data"]["account"] for _, body in server.requests] == ["a1", "a2", "a3"]
    assert sent(book, server) == Sent(0, 0)
    assert len(set(server.ids())) == len(server.requests) == 3


def test_the_published_vector_of_standard_webhooks() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = webhook.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("failure", [status(500), status(503), status(429), late, drip, hang_up, nonsense])
def test_what_fails_is_tried_again_under_the_same_id(book: Casebook, server: Server, failure: Answer) -> None:
    server.answers = [failure, failure]
    assert sent(book, server) == Sent(3, 0)
    ids = server.ids()
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids)) == 3


def test_an_answer_without_an_end_is_not_read(book: Casebook, server: Server) -> None:
    server.answers = [endless]
    assert sent(book, server) == Sent(3, 0)
    assert len(server.requests) == 3


def test_a_server_that_goes_on_failing_gets_nothing_more_until_later(book: Casebook, server: Server) -> None:
    server.answers = [status(500)] * 3
    with pytest.raises(WebhookUnavailable, match=r"fails \(status 500\); 0 delivered before"):
        sent(book, server)
    assert len(server.requests) == QUICK.attempts, "the second decision was not tried"
    assert sent(book, server) == Sent(2, 1), "the first one is put off, the others are due"
    assert sent(book, server, NOW + 3_600) == Sent(1, 0)
    ids = server.ids()
    assert ids[0] == ids[-1]
    assert len(set(ids)) == 3


def test_pauses_grow_from_call_to_call(tmp_path: Path, server: Server) -> None:
    with opened(tmp_path / "casebook") as book:
        taken(book, scored("a1"))
        decide(book, flags(book)[0], Decision("confirmed", "own-evidence", "ann"), NOW, never)
        now, pauses = NOW, []
        for _ in range(3):
            server.answers = [status(500)] * QUICK.attempts
            with pytest.raises(WebhookUnavailable):
                sent(book, server, now)
            with book.database.reading() as connection:
                due = connection.exec_driver_sql("SELECT due FROM delivery").scalar_one()
            pauses.append(due - now)
            now = due
    assert pauses == sorted(pauses)
    assert 60 < pauses[0] < pauses[-1] <= 12 * 3_600


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(book: Casebook, server: Server, code: int) -> None:
    with serving() as elsewhere:
        server.answers = [status(code, location=elsewhere.url)]
        with pytest.raises(WebhookRefused, match="redirects elsewhere"):
            sent(book, server)
        assert elsewhere.requests == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_server_that_refuses_the_sender_is_not_asked_again(
    book: Casebook, server: Server, code: int
) -> None:
    server.answers = [status(code)]
    with pytest.raises(WebhookRefused, match="check address and secret") as raised:
        sent(book, server)
    assert "token" not in str(raised.value)
    assert len(server.requests) == 1
    assert sent(book, server, NOW + 3_600) == Sent(3, 0)


def test_a_decision_that_is_refused_does_not_hold_the_others_up(book: Casebook, server: Server) -> None:
    server.answers = [status(422)]
    with pytest.raises(WebhookRefused, match="refused 1 of 3 decisions"):
        sent(book, server)
    assert sent(book, server, NOW + 3_600) == Sent(1, 0)


def test_retry_after_is_obeyed(book: Casebook, server: Server) -> None:
    server.answers = [status(503, retry_after="1")]
    began = time.monotonic()
    assert sent(book, server) == Sent(3, 0)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("value", ["soon", "-5", "١", "9" * 400, "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_retry_after_that_is_no_short_number_is_ignored(book: Casebook, server: Server, value: str) -> None:
    assert webhook._judged(503, value).wait_s == 0


def test_an_interrupt_loses_nothing(book: Casebook, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(webhook, "body_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sent(book, server)
    assert sent(book, server) == Sent(3, 0)


def test_a_process_that_was_killed_leaves_its_decisions_due_after_a_while(
    book: Casebook, server: Server
) -> None:
    from tocsin.detect.casebook import decisions

    with book.database.writing() as connection:
        assert len(decisions.take_due(connection, NOW, 10)) == 3
    assert sent(book, server) == Sent(0, 3), "another process has them"
    assert sent(book, server, NOW + decisions.LEASE_S) == Sent(3, 0)


def test_two_casebooks_have_different_ids(tmp_path: Path, server: Server) -> None:
    for name in ("north", "south"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "casebook.key").write_text((b"n" if name == "north" else b"s").hex() * 32)
        with opened(folder) as book:
            taken(book, scored("a1"))
            decide(book, flags(book)[0], Decision("confirmed", "own-evidence", "ann"), NOW, never)
            sent(book, server)
    assert len(set(server.ids())) == 2


def test_the_delay_that_is_set_comes_before_the_output(tmp_path: Path, server: Server) -> None:
    with opened(tmp_path / "casebook", "delay_minutes = 60\ndelay_spread_minutes = 10\n") as book:
        taken(book, scored("a1"))
        decide(
            book, flags(book)[0], Decision("confirmed", "own-evidence", "ann"), NOW, lambda limit: limit // 2
        )
        assert sent(book, server, NOW + 3_600 + 299) == Sent(0, 1)
        assert sent(book, server, NOW + 3_600 + 300) == Sent(1, 0)


def configured(tmp_path: Path, url: str, more: str = "", secret: str = SECRET) -> Casebook:
    book = opened(tmp_path / "casebook", f'webhook = "{url}"\nwebhook_secret = "secret"\n{more}')
    path = tmp_path / "casebook" / "secret"
    path.write_text(secret + "\n")
    path.chmod(0o600)
    return book


def test_tls_is_verified_and_a_certificate_authority_can_be_named(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with serving(context) as server:
        with configured(tmp_path, server.url) as book:
            taken(book, scored("a1"))
            decide(book, flags(book)[0], Decision("confirmed", "own-evidence", "ann"), NOW, never)
            with pytest.raises(WebhookRefused, match="certificate that does not verify"):
                webhook.send(book, webhook.endpoint(book.settings), lambda: NOW, never, QUICK)
        assert server.requests == []
        with configured(tmp_path, server.url, f'webhook_ca = "{tmp_path / "server.pem"}"\n') as book:
            later = NOW + 3_600
            assert webhook.send(book, webhook.endpoint(book.settings), lambda: later, never, QUICK) == Sent(
                1, 0
            )


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/abuse", "http://127.0.0.1.example.com/", "http://10.0.0.1/", "ftp://127.0.0.1/",
        "https://", "https://user:word@hooks.example.com/", "https://[::1", "https://a b/", "//hooks.example.com",
        "http://0.0.0.0/", "https://x:99999/",
    ],
)  # fmt: skip
def test_an_address_that_is_refused(tmp_path: Path, url: str) -> None:
    with configured(tmp_path, url) as book, pytest.raises(BadWebhook):
        webhook.endpoint(book.settings)


@pytest.mark.parametrize(
    "url", ["http://127.9.9.9:80/x", "http://[::1]:8080/x", "http://localhost/x", "https://h/x"]
)
def test_an_address_that_is_taken(tmp_path: Path, url: str) -> None:
    with configured(tmp_path, url) as book:
        found = webhook.endpoint(book.settings)
    assert (found.url, found.secret) == (url, KEY)
    assert SECRET not in repr(found)
    assert "/x" not in repr(found)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_AAAA", SECRET[6:], SECRET + "!", "whsec_" + "A" * 400, "é"]
)
def test_a_secret_that_is_refused_is_not_quoted(tmp_path: Path, secret: str) -> None:
    with configured(tmp_path, "https://h/", secret=secret) as book, pytest.raises(BadWebhook) as raised:
        webhook.endpoint(book.settings)
    assert "A" * 4 not in str(raised.value)


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with configured(tmp_path, "https://h/") as book:
        (tmp_path / "casebook" / "secret").chmod(0o644)
        with pytest.raises(BadConfig, match="may be read by others"):
            webhook.endpoint(book.settings)


def test_the_command_and_its_exit_codes(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "Patience", lambda: QUICK)
    with configured(tmp_path, server.url) as book:
        taken(book, scored("a1"), scored("a2"))
        for flag in flags(book):
            decide(book, flag, Decision("confirmed", "own-evidence", "ann"), NOW, never)
    command = ["review", "send", "--casebook", str(tmp_path / "casebook")]
    server.answers = [status(500)] * 3
    assert run(command) == 3
    assert "put" not in capsys.readouterr().out
    server.answers = [status(403)]
    assert run(command) == 4
    capsys.readouterr()
    assert run(command) == 0
    assert "0 decisions delivered, 2 not yet due" in capsys.readouterr().out
    assert run(["review", "send", "--casebook", str(tmp_path / "nothing")]) == 2


def test_csv_has_one_line_for_each_decision(book: Casebook, capsys: pytest.CaptureFixture[str]) -> None:
    import csv
    import io

    from tocsin.detect.outputs import CSV_COLUMNS

    assert run(["review", "export", "--format", "csv", "--casebook", str(book.settings.folder)]) == 0
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert tuple(header) == CSV_COLUMNS
    assert [row[2] for row in rows] == ["a1", "a2", "a3"]
    first = dict(zip(header, rows[0], strict=True))
    assert (first["reported_by"], first["types"], first["bits"]) == ("Alder", "contact.phone", "16")
    assert "reported by Alder; held by 0 of 400 established accounts" in first["explanation"]
