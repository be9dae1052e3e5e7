"""Reads `swctrl mac show`: which address was seen behind which port. By its titles, never by guess.

Cells may be blank or hold spaces, so columns are counted only from the left, up to the address:
whatever shifts a cell there moves the address out of its place, and the row is passed over, as
is one with two addresses.
"""

import re

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_PORT = re.compile(r"[0-9]{1,3}")
_MARKS = "@u \t"  # flags that stand before a row's port
_MAC_TITLES = {"mac", "mac-address"}


class MacTableError(Exception):
    """The output has no table that can be told. Its text is for people."""


def parse(text: str) -> dict[str, int]:
    """Return the port of each address (lower case). Raises MacTableError.

    An address seen behind several ports is left out: nothing may rest on it.
    """
    lines = [line.strip() for line in text.lower().splitlines()]
    at, port_at, mac_at = _titles(lines)
    seen: dict[str, set[int]] = {}
    for line in lines[at + 1 :]:
        cells = line.lstrip(_MARKS).split()
        places = [place for place, cell in enumerate(cells) if _MAC.fullmatch(cell)]
        if places == [mac_at] and _PORT.fullmatch(cells[port_at]):
            seen.setdefault(cells[mac_at], set()).add(int(cells[port_at]))
    return {mac: ports.pop() for mac, ports in seen.items() if len(ports) == 1}


def _titles(lines: list[str]) -> tuple[int, int, int]:
    """Find the row of titles; return its number, and the columns of port and address."""
    found = [
        (number, titles)
        for number, titles in enumerate(line.split() for line in lines)
        if "port" in titles and _MAC_TITLES & set(titles)
    ]
    if len(found) != 1:
        raise MacTableError(f"{len(found)} lines have the titles of a table of addresses")
    number, titles = found[0]
    ports = [at for at, title in enumerate(titles) if title == "port"]
    macs = [at for at, title in enumerate(titles) if title in _MAC_TITLES]
    if len(ports) != 1 or len(macs) != 1 or ports[0] > macs[0]:
        raise MacTableError(f"port and address stand where they can't be told: {lines[number]!r}")
    return number, ports[0], macs[0]
