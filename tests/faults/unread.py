"""A member that asks and never reads: HTTP/2 over mTLS by hand, with a flow-control window of zero.

No library helps here: each of them reads what arrives. The server may send headers, but no byte of an answer, until a
window is opened; this one never opens any. Settings and pings are answered, so the connection looks alive.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections import Counter

from tests.faults.parties import charter_of, identity_of
from tocsin.localnet.federation import Home
from tocsin.node.rpc.authorize import Role
from tocsin.wire.names import target_name
from tocsin.wire.tls import authorities_pem

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW = 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _literal(name: bytes, value: bytes) -> bytes:
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def request(stream: int, method: str, message: bytes) -> bytes:
    """The frames of one unary call."""
    headers = b"".join(
        _literal(name, value)
        for name, value in (
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", method.encode()),
            (b":authority", b"node"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        )
    )
    body = b"\0" + len(message).to_bytes(4, "big") + message
    return frame(HEADERS, END_HEADERS, stream, headers) + frame(DATA, END_STREAM, stream, body)


class NeverReading:
    """One connection of a caller to a node, on which nothing is ever read."""

    def __init__(self, caller: Home, role: Role, target: Home) -> None:
        charter, identity = charter_of(target), identity_of(caller, role)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["h2"])
        context.load_verify_locations(cadata=authorities_pem([charter.member(target.id).ca]).decode())
        key = caller.folder / f"{role}.unread.pem"
        key.write_bytes(identity.key + b"\n" + identity.certificate)
        context.load_cert_chain(key)
        self._socket = context.wrap_socket(
            socket.create_connection(("127.0.0.1", target.port), timeout=10),
            server_hostname=target_name(charter.federation, target.id),
        )
        self._lock = threading.Lock()
        self._next = 1
        self.frames: Counter[int] = Counter()
        self.closed = threading.Event()
        self._send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 0)))
        threading.Thread(target=self._answer, daemon=True).start()

    def call(self, method: str, message: bytes) -> None:
        """Ask, and never read the answer."""
        with self._lock:
            stream, self._next = self._next, self._next + 2
        self._send(request(stream, method, message))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _send(self, data: bytes) -> None:
        with self._lock:
            self._socket.sendall(data)

    def _answer(self) -> None:
        waiting = b""
        with contextlib.suppress(OSError, ValueError):
            while True:
                select.select([self._socket], [], [], 0.05)
                received = self._received()
                if received is None:
                    continue
                if not received:
                    break
                waiting += received
                while len(waiting) >= 9 and len(waiting) >= 9 + int.from_bytes(waiting[:3], "big"):
                    end = 9 + int.from_bytes(waiting[:3], "big")
                    kind, flags, payload = waiting[3], waiting[4], waiting[9:end]
                    waiting = waiting[end:]
                    self.frames[kind] += 1
                    if kind in (SETTINGS, PING) and not flags & ACK:
                        self._send(frame(kind, ACK, 0, b"" if kind == SETTINGS else payload))
        self.closed.set()

    def _received(self) -> bytes | None:
        # OpenSSL takes one call at a time.
        with self._lock:
            self._socket.settimeout(0)
            try:
                return self._socket.recv(65_536)
            except (ssl.SSLWantReadError, BlockingIOError):
                return None
            finally:
                self._socket.settimeout(10)
