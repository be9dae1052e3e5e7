"""`power_cycle.sh PI_NAME`: the old script's name and argument, with the new one's safety.

PI_NAME is yellowX or greenX, login, backup or mlops_master, yellow or green, or all. Further
options go to `pimedic power cycle`, which it is.
"""

import shlex
import sys

from console import cli

_REASON = "power_cycle.sh"
_USAGE = """\
usage: power_cycle.sh PI_NAME [options of pimedic power cycle]
  PI_NAME: yellow1..8, green1..8, login, backup, mlops_master, yellow, green or all
  (login, mlops_master and all ask, or want --confirm=NAME)"""


def main() -> None:
    """Say what it does, and do it."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0].startswith("-"):
        wants_help = arguments[:1] in (["-h"], ["--help"])
        print(_USAGE, file=sys.stdout if wants_help else sys.stderr)
        sys.exit(0 if wants_help else 2)
    words = ["power", "cycle", arguments[0], "--yes", *arguments[1:]]
    if not any(word.split("=")[0] == "--reason" for word in arguments):
        words += ["--reason", _REASON]
    # The words themselves are for people; what programs read (--json) stays on stdout.
    print(f"power_cycle.sh: pimedic {shlex.join(words)}", file=sys.stderr)
    sys.argv = ["pimedic", *words]
    cli.main()
