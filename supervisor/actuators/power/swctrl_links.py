"""Reads `swctrl port show`: which ports have a link.

Nobody has recorded this switch's whole table, so nothing is read but what public captures of
several models agree upon, at the start of each row: the port, then `U` or `D` for what it is
set to and for its link, then the rate. A row that doesn't begin so says nothing of its port.

       4  U/D      0H  ...
    @U 2  U/U  10000F  ...        the uplink is marked
"""

import re

_ROW = re.compile(r"[@\s]*U?\s*(?P<port>[0-9]{1,3})\s+[UD]/(?P<link>[UD])\s+[0-9]{1,6}[FH]\b.*")


def parse(text: str) -> dict[int, bool]:
    """Return port -> whether its link is up. A port that stands there twice is left out."""
    seen: dict[int, list[bool]] = {}
    for line in text.splitlines():
        if found := _ROW.fullmatch(line.rstrip()):
            seen.setdefault(int(found["port"]), []).append(found["link"] == "U")
    return {port: links[0] for port, links in seen.items() if len(links) == 1}
