"""Wallet addresses as `chain:address`.

Canonical form: length of the chain's name (1 byte), the name in ASCII, the decoded address:
1. `btc`: the output script (scriptPubKey) that the address stands for, so that the same hash under two
   kinds of address stays two values. Base58Check P2PKH (0x00) and P2SH (0x05); segwit by BIP 173 and BIP
   350, programs of 20 bytes or more. `btc-testnet` (0x6f, 0xc4, `tb`) is a test range.
2. `eth`: 20 bytes; also written `evm`, since one key holds one address on all such chains. Hex after `0x`,
   of one case or with a right EIP-55 checksum.
3. `sol`: 32 bytes in Base58.
4. `tron`: 20 bytes, Base58Check behind 0x41.
Addresses of nothing but zeros belong to nobody; the addresses in the standards' own examples are test
values.
"""

from __future__ import annotations

import hashlib
import re

from tocsin.indicators.keccak import keccak256
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots, name_set

WALLET = "payment.wallet"

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CONSTANT = 1
_BECH32M_CONSTANT = 0x2BC830A3
_HEX20 = re.compile(r"[0-9a-fA-F]{40}")


def _refuse(rule: str, fix: str) -> Refused:
    return Refused(WALLET, rule, fix)


def _base58(address: str) -> bytes:
    number = 0
    for character in address:
        digit = _BASE58.find(character)
        if digit < 0:
            raise _refuse("wallet.base58", "the address holds a character that Base58 has not")
        number = number * 58 + digit
    zeros = len(address) - len(address.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base58check(address: str) -> bytes:
    decoded = _base58(address)
    payload, checksum = decoded[:-4], decoded[-4:]
    # A checksum against typing errors, not a secret: a plain comparison is enough.
    if hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4] != checksum:
        raise _refuse("wallet.checksum", "its checksum does not fit; compare the address with the source")
    if len(payload) != 21:
        raise _refuse("wallet.length", "the address decodes to the wrong number of bytes")
    return payload


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_BECH32_GENERATORS):
            check ^= generator if top >> place & 1 else 0
    return check


def _witness_program(address: str, prefix: str) -> tuple[int, bytes]:
    if address not in (address.lower(), address.upper()):
        raise _refuse("wallet.case", "a segwit address is written in one case")
    lowered = address.lower()
    data = [_BECH32.find(c) for c in lowered[len(prefix) + 1 :]]
    if len(lowered) > 90 or len(data) < 7 or -1 in data:
        raise _refuse("wallet.bech32", "the address has characters or a length that Bech32 does not allow")
    version = data[0]
    expected = _BECH32_CONSTANT if version == 0 else _BECH32M_CONSTANT
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    if _polymod(expanded + data) != expected:
        raise _refuse("wallet.checksum", "its checksum does not fit; compare the address with the source")
    groups = data[1:-6]
    number = 0
    for group in groups:
        number = number << 5 | group
    padding = len(groups) * 5 % 8
    if padding > 4 or number & ((1 << padding) - 1):
        raise _refuse("wallet.bech32", "the address ends in padding that BIP 173 does not allow")
    program = (number >> padding).to_bytes(len(groups) * 5 // 8, "big")
    if version > 16 or not 20 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise _refuse("wallet.witness", "no wallet pays to this witness version and program length")
    return version, program


def _bitcoin(address: str, prefix: str, versions: tuple[int, int]) -> bytes:
    if address.lower().startswith(prefix + "1"):
        version, program = _witness_program(address, prefix)
        _refuse_zero(program)
        return bytes([version and 0x50 + version, len(program)]) + program
    payload = _base58check(address)
    _refuse_zero(payload[1:])
    if payload[0] == versions[0]:
        return b"\x76\xa9\x14" + payload[1:] + b"\x88\xac"
    if payload[0] == versions[1]:
        return b"\xa9\x14" + payload[1:] + b"\x87"
    raise _refuse("wallet.version", "the address belongs to another network than its chain says")


def _ethereum(address: str) -> bytes:
    if not address.startswith(("0x", "0X")) or not _HEX20.fullmatch(digits := address[2:]):
        raise _refuse("wallet.hex", "write 0x and 40 hexadecimal digits")
    lowered = digits.lower()
    if digits not in (lowered, digits.upper()):
        mask = keccak256(lowered.encode("ascii")).hex()
        written = "".join(c.upper() if m >= "8" else c for c, m in zip(lowered, mask, strict=False))
        if written != digits:
            raise _refuse("wallet.checksum", "its EIP-55 capitals do not fit; compare it with the source")
    return bytes.fromhex(lowered)


def _solana(address: str) -> bytes:
    key = _base58(address)
    if len(key) != 32:
        raise _refuse("wallet.length", "the address decodes to the wrong number of bytes")
    return key


def _tron(address: str) -> bytes:
    payload = _base58check(address)
    if payload[0] != 0x41:
        raise _refuse("wallet.version", "the address belongs to another network than its chain says")
    return payload[1:]


def _refuse_zero(address: bytes) -> None:
    if not any(address):
        raise _refuse("wallet.zero", "the all-zero address belongs to nobody")


def canonical_wallet(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """Chain and decoded address, as the module's head says. Raises Refused (rules `wallet.*`)."""
    chain, colon, address = text.partition(":")
    chain = {"evm": "eth"}.get(chain.lower(), chain.lower())
    if not colon or not text.isascii() or not 1 <= len(address) <= 100:
        raise _refuse("wallet.form", "write chain:address")
    match chain:
        case "btc":
            decoded = _bitcoin(address, "bc", (0x00, 0x05))
        case "btc-testnet":
            if mode is Mode.LIVE:
                raise _refuse("wallet.test", "test networks are accepted only where the charter says test")
            decoded = _bitcoin(address, "tb", (0x6F, 0xC4))
        case "eth":
            decoded = _ethereum(address)
        case "sol":
            decoded = _solana(address)
        case "tron":
            decoded = _tron(address)
        case _:
            raise _refuse("wallet.chain", "use one of btc, btc-testnet, eth, evm, sol, tron")
    _refuse_zero(decoded)
    if mode is Mode.LIVE and f"{chain}:{decoded.hex()}" in name_set(snapshots.reserved, "wallets"):
        raise _refuse("wallet.test", "a published example is accepted only where the charter says test")
    return bytes([len(chain)]) + chain.encode("ascii") + decoded
