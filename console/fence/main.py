"""The program: words in, exit code out, and nothing that fails ever exits with 2."""

import asyncio
import sys

from common.fleet.orders import OrderRefusedError, WayLostError
from console.client import ConsoleError
from console.fence.acts import FAILED, check, perform
from console.fence.metadata import metadata
from console.fence.options import UsageError, parse


def main() -> None:
    """Run the agent."""
    try:
        code, said = _run()
    except (UsageError, ConsoleError, OrderRefusedError, WayLostError) as error:
        code, said = FAILED, str(error)
    except KeyboardInterrupt:
        code, said = FAILED, "interrupted; what was ordered goes on"
    print(said, file=sys.stderr if code == FAILED else sys.stdout)
    sys.exit(code)


def _run() -> tuple[int, str]:
    options = parse(sys.argv[1:], sys.stdin)
    match options["action"]:
        case "metadata":
            return 0, metadata().rstrip()
        case "validate-all":
            check(options)
            return 0, "the options can be used"
        case _:
            return asyncio.run(perform(options))
