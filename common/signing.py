"""Signing both directions of the heartbeat: HMAC-SHA256 with per-node, per-direction keys.

Clocks on this cluster are wrong after every boot, so nothing here depends on one: freshness
comes from the session nonce and the sequence number inside the signed body.
"""

import hashlib
import hmac
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PROTOCOL = "pimedic/1"
KEY_BYTES = 32


class Direction(StrEnum):
    """Who speaks. Each direction has its own key, so a message can't be reflected."""

    TO_SUPERVISOR = "agent-to-supervisor"
    TO_AGENT = "supervisor-to-agent"


class KeyFileError(Exception):
    """A key file is missing, readable by others, or not a key. Its text is for the user."""


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """The two keys of one node, derived from its 32-byte master key."""

    to_supervisor: bytes
    to_agent: bytes

    @classmethod
    def derive(cls, master: bytes, node: str) -> "NodeKeys":
        """Derive both keys; `node` is bound in, so one master can't serve two names."""
        return cls(*(_expand(master, direction, node) for direction in Direction))

    def of(self, direction: Direction) -> bytes:
        """Return the key that signs `direction`."""
        return self.to_supervisor if direction is Direction.TO_SUPERVISOR else self.to_agent


def _expand(master: bytes, direction: Direction, node: str) -> bytes:
    """One block of HKDF-Expand (RFC 5869); the master key is uniformly random already."""
    info = f"{PROTOCOL} {direction} {node}".encode()
    return hmac.digest(master, info + b"\x01", "sha256")


def sign(
    keys: NodeKeys, direction: Direction, path: str, term: int, body: bytes, binding: str = ""
) -> str:
    """Return the signature (64 hex digits) over direction, path, term, body hash and `binding`.

    A reply's `binding` is the signature of the request it answers, so that an old reply, and
    the commands in it, can't answer a new request.
    """
    digest = hashlib.sha256(body).hexdigest()
    message = "\n".join((PROTOCOL, direction, path, str(term), binding, digest)).encode()
    return hmac.digest(keys.of(direction), message, "sha256").hex()


def verify(
    keys: NodeKeys,
    direction: Direction,
    path: str,
    term: int,
    body: bytes,
    signature: str,
    binding: str = "",
) -> bool:
    """Tell, in constant time, whether `signature` is ours."""
    expected = sign(keys, direction, path, term, body, binding)
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def load_key(path: Path) -> bytes:
    """Read a master key: 64 hex digits in a file that only its owner may read."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: key can't be read: {error}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"{path}: key is readable by others; chmod 600 it")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{path}: expected {KEY_BYTES * 2} hex digits")
    return key
