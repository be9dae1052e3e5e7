"""`pimedic power status|on|off|cycle|validate`: words in, an exit code out."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from common.fleet.members import Member, UnknownTargetError, in_order, meant
from common.fleet.orders import Order, WayLostError
from console.client import Client, ConsoleError
from console.durations import plain_seconds, seconds, span
from console.options import AsJson, Reason, TokenFile, Url
from console.power import exits
from console.power.consent import agreed, preview
from console.power.picture import Picture, picture_of
from console.power.run import Run
from console.power.screen import choose
from console.power.table import as_json as ports_as_json
from console.power.table import rows
from console.power.ways import CONFIG, survey, way_to_switch

app = App(
    name="power",
    help="The switch's ports by hand: one node, a group, or all but the backup.",
    help_epilogue=exits.TABLE,
    help_format="markdown",
)

_WHO = "Nodes (yellow3, login, green_4), groups (yellow, green), or all."
Targets = Annotated[tuple[str, ...], Parameter(help=_WHO, negative="")]
Config = Annotated[
    Path, Parameter(name="--config", help="The supervisor's settings, for the direct way.")
]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", help="Don't ask, for workers.")]
Confirm = Annotated[
    tuple[str, ...],
    Parameter(name="--confirm", negative="", help="Say it again: a node's name, a group, or all."),
]
DryRun = Annotated[
    bool, Parameter(name=["--dry-run", "-n"], negative="", help="Only name the ports.")
]
Wait = Annotated[str, Parameter(name="--wait", help="How long a node may take to be back; 0: go.")]
Protected = Annotated[
    bool, Parameter(name="--protected", negative="", help="Yes, even a protected port.")
]
SkipRail = Annotated[
    tuple[str, ...],
    Parameter(name="--skip-rail", negative="", help="A rail to skip, such as cool_down."),
]


@app.command
def status(
    *targets: Annotated[str, Parameter(help=_WHO)],
    json_: AsJson = False,
    supervisor: Url = "",
    config: Config = CONFIG,
) -> int:
    """Show each port: its power, who switched it off and until when, what was done last."""

    async def look() -> tuple[Picture, str]:
        async with way_to_switch(Client(supervisor), config) as (way, _):
            try:
                return picture_of(await way.look()), way.said
            except WayLostError as error:
                raise ConsoleError(str(error)) from None

    picture, said = asyncio.run(look())
    members = _members(targets or tuple(picture.seats), picture)
    if json_:
        print(json.dumps(ports_as_json(picture, members, said), indent=2))
    else:
        print(f"{picture.switch}, {said}")
        print("\n".join(rows(picture, members)))
    return exits.DONE if picture.reachable == "true" else exits.FAILED


@app.command
def cycle(
    *targets: Annotated[str, Parameter(help=_WHO)],
    reason: Reason,
    off_for: Annotated[
        str, Parameter(name="--off-for", help="How long without power, as 10s; default: setting.")
    ] = "",
    yes: Yes = False,
    confirm: Confirm = (),
    dry_run: DryRun = False,
    wait: Wait = "5m",
    protected: Protected = False,
    skip_rail: SkipRail = (),
    json_: AsJson = False,
    supervisor: Url = "",
    token_file: TokenFile = None,
    config: Config = CONFIG,
) -> int:
    """Cut power and give it back, node by node; ends when each is back (new boot, beating)."""
    off_s = plain_seconds(off_for) if off_for else None
    order = Order("cycle", "", reason, off_s, protected=protected, skip_rails=skip_rail)
    return operate(
        order, targets, confirm, yes=yes, dry_run=dry_run, wait_s=plain_seconds(wait),
        as_json=json_, client=Client(supervisor, token_file), config=config,
    )  # fmt: skip


@app.command
def on(
    *targets: Annotated[str, Parameter(help=_WHO)],
    reason: Reason = "on by hand",
    dry_run: DryRun = False,
    wait: Wait = "5m",
    skip_rail: SkipRail = (),
    json_: AsJson = False,
    supervisor: Url = "",
    token_file: TokenFile = None,
    config: Config = CONFIG,
) -> int:
    """Give power, also to a port that a person had switched off; providers first."""
    return operate(
        Order("on", "", reason, skip_rails=skip_rail), targets, (), yes=True, dry_run=dry_run,
        wait_s=plain_seconds(wait), as_json=json_, client=Client(supervisor, token_file),
        config=config,
    )  # fmt: skip


@app.command
def off(
    *targets: Annotated[str, Parameter(help=_WHO)],
    reason: Reason,
    for_: Annotated[
        str, Parameter(name="--for", help="When it comes on again: 30m, 2h, 1d, or forever.")
    ] = "1h",
    yes: Yes = False,
    confirm: Confirm = (),
    dry_run: DryRun = False,
    protected: Protected = False,
    skip_rail: SkipRail = (),
    json_: AsJson = False,
    supervisor: Url = "",
    token_file: TokenFile = None,
    config: Config = CONFIG,
) -> int:
    """Cut power for a while: the port stays off until the time is over, or `power on`."""
    order = Order(
        "off", "", reason, off_for=seconds(for_), protected=protected, skip_rails=skip_rail
    )
    return operate(
        order, targets, confirm, yes=yes, dry_run=dry_run, wait_s=0.0, as_json=json_,
        client=Client(supervisor, token_file), config=config,
    )  # fmt: skip


@app.command
def validate(
    *,
    exercise: Annotated[
        int | None, Parameter(name="--exercise", help="An unused port: it is switched off and on.")
    ] = None,
    json_: AsJson = False,
    config: Config = CONFIG,
) -> int:
    """Find out what works with this switch, from the supervisor's machine, changing nothing."""
    found, usable = asyncio.run(survey(config, exercise))
    if json_:
        print(json.dumps({"usable": usable, "found": [asdict(one) for one in found]}, indent=2))
    else:
        for one in found:
            print(f"{one.mark:<9} {one.subject:<17} {one.text}".rstrip())
        print("usable" if usable else "NOT usable: mend what is bad")
    return exits.DONE if usable else exits.FAILED


def operate(
    order: Order,
    targets: tuple[str, ...],
    confirm: tuple[str, ...],
    *,
    yes: bool,
    dry_run: bool,
    wait_s: float,
    as_json: bool,
    client: Client,
    config: Path,
) -> int:
    """Carry `order` out on every node that `targets` mean; return the exit code."""
    if not targets:
        raise ConsoleError("expected at least one node or group", 2)
    screen = choose(as_json=as_json)

    async def work() -> int:
        async with way_to_switch(client, config) as (way, left):
            screen.say(way.said)
            if left:
                screen.say(f"found from before: {left}")
            try:
                picture = picture_of(await way.look())
            except WayLostError as error:
                raise ConsoleError(str(error)) from None
            members = in_order(order.kind, _members(targets, picture))
            for line in preview(order.kind, members, picture):
                screen.say(line)
            if dry_run:
                screen.say("dry run: nothing was done")
                return exits.DONE
            agreed(order.kind, _meant(targets, picture), confirm, yes=yes)
            run = Run(way, order, members, picture, wait_s, screen.tell)
            try:
                await run.run()
            finally:
                code = exits.code_of(run.steps, interrupted=run.interrupted)
                screen.end(run, code)
            if order.kind == "off":
                screen.say(_until(order))
            return code

    return asyncio.run(work())


def _until(order: Order) -> str:
    end = "until somebody switches it on" if order.off_for == "forever" else ""
    end = end or f"for {span(float(order.off_for))}; then it is switched on"
    return f"what is off stays off {end} (earlier: pimedic power on NODE)"


def _meant(targets: tuple[str, ...], picture: Picture) -> list[tuple[str, tuple[Member, ...]]]:
    try:
        return [(word, meant(word, picture.members)) for word in targets]
    except UnknownTargetError as error:
        raise ConsoleError(str(error), 2) from None


def _members(targets: tuple[str, ...], picture: Picture) -> list[Member]:
    return [member for _, members in _meant(targets, picture) for member in members]
