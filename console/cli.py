"""`pimedic`: finds the commands that are installed, and says what is wrong in one line.

Commands come from the entry-point group `pimedic.commands` and are imported only when used.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration; `console.power.exits` has more.
"""

import sys
from importlib.metadata import entry_points

from cyclopts import App, CycloptsError

from common.toml_files import ConfigError
from console import config, operate
from console.client import ConsoleError

COMMANDS = "pimedic.commands"


def build() -> App:
    """Make the application; what entry points offer is not imported yet."""
    app = App(name="pimedic", help="The medic of the Pi cluster.", version_flags=[])
    operate.register(app)
    app.command(config.app)
    app.command("console.power.commands:app", name="power")
    app.command("console.power.commands:cycle", name="power-cycle", show=False)
    for found in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name):
        app.command(found.value, name=found.name)
    return app


def main() -> None:
    """Run the command line."""
    try:
        sys.exit(build()(exit_on_error=False, print_error=False))
    except CycloptsError as error:
        sys.exit(_complain(_one_line(str(error))))
    except ConsoleError as error:
        _complain(str(error))
        sys.exit(error.code)
    except ConfigError as error:
        sys.exit(_complain(str(error)))
    except KeyboardInterrupt:
        sys.exit(130)


def _one_line(text: str) -> str:
    return " ".join(line.strip(" │╭╮╰╯─") for line in text.splitlines()).strip()


def _complain(text: str) -> int:
    print(f"pimedic: {text}", file=sys.stderr)
    return 2
