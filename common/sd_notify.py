"""systemd's readiness and watchdog protocol: one datagram to $NOTIFY_SOCKET (sd_notify(3)).

Without systemd every call does nothing.
"""

import os
import socket


def notify(state: str) -> None:
    """Send `state`, such as READY=1, WATCHDOG=1 or STATUS=text."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)  # a stuck systemd must not stick us
        try:
            sock.connect(address)
            sock.send(state.encode())
        except OSError:
            return


def watchdog_interval_s() -> float | None:
    """Return how often to send WATCHDOG=1: half of what systemd allows, or None without one."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 2e6 if usec.isdigit() and int(usec) else None
