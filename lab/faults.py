"""Everything that can be broken on a virtual Pi, as one table: what it does, what cures it.

To add a fault: give it a row. `ssh` and `agent` say how the Pi appears while it is present
(the worst of several faults counts); `breaks`, `mends` and `present` change and read the Pi's
trees, for faults that a treatment can cure in place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from lab.errors import MisuseError
from lab.ports import Mode
from lab.tree import Tree


class Activity(IntEnum):
    """What a Pi's processes do, from best to worst."""

    RUNNING = 0
    FROZEN = 1  # as a process whose next page never arrives
    DEAD = 2


SSH_FROM_BEST_TO_WORST = (Mode.SERVING, Mode.RESETTING, Mode.MUTE, Mode.CLOSED, Mode.DARK)
"""When several reasons say how ssh answers, the last of these wins."""

TreeChange = Callable[[Tree, str], None]


def _nothing(_tree: Tree, _argument: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be broken. A power cycle cures every one of them."""

    name: str
    does: str
    cure: str
    ssh: Mode = Mode.SERVING
    agent: Activity = Activity.RUNNING
    serves: bool = True
    """Whether the nodes that boot from this one still get their disks."""
    freezes_all: bool = False
    """Whether `agent` holds for every process of the Pi, not for its agent alone."""
    draws: bool = True
    argument: str = ""
    breaks: TreeChange = _nothing
    mends: TreeChange = _nothing
    present: Callable[[Tree], list[str]] | None = None
    """For faults in the trees: the arguments they are present with. None: the Pi remembers."""
    at_switch: bool = False


def _fail_unit(tree: Tree, unit: str) -> None:
    wanted = unit if "." in unit else f"{unit}.service"
    if wanted not in (units := tree.units.names()):
        raise MisuseError(f"{tree.node.name} has no unit {unit!r}; it has {', '.join(units)}")
    tree.units.fail(wanted)


def _mend_units(tree: Tree, _argument: str) -> None:
    for unit in tree.units.failed():
        tree.units.restart(unit)


_ROWS = (
    Fault(
        "read-only",
        "the root filesystem turns read-only: ssh resets every connection; on login, every"
        " netbooted node stalls",
        "a power cycle, as its disk comes back writable",
        ssh=Mode.RESETTING,
        serves=False,
        breaks=lambda tree, _: tree.mount_root(read_only=True),
        mends=lambda tree, _: tree.mount_root(read_only=False),
    ),
    Fault(
        "ssh-reset",
        "sshd resets every connection before its banner; all else is well",
        "restarting ssh.service, by the agent",
        ssh=Mode.RESETTING,
    ),
    Fault(
        "hang",
        "every process freezes; connections are accepted by the kernel and meet silence",
        "a power cycle",
        ssh=Mode.MUTE,
        agent=Activity.FROZEN,
        serves=False,
        freezes_all=True,
    ),
    Fault(
        "kill-agent",
        "the agent dies and does not come back; ssh is fine",
        "restarting pimedic-agent.service over ssh",
        agent=Activity.DEAD,
    ),
    Fault(
        "power-off",
        "the board dies: it draws 0 W although its port is on",
        "a power cycle",
        ssh=Mode.DARK,
        agent=Activity.DEAD,
        serves=False,
        freezes_all=True,
        draws=False,
    ),
    Fault(
        "power-loss",
        "the switch takes the port's power away, and nobody ordered it",
        "switching the port on",
        at_switch=True,
    ),
    Fault(
        "unit-failed",
        "a service dies with exit code 1; with login's nfs-server every netbooted node stalls",
        "restarting the unit, by the agent or over ssh",
        argument="UNIT",
        breaks=_fail_unit,
        mends=_mend_units,
        present=lambda tree: tree.units.failed(),
    ),
    Fault(
        "no-hosts-line",
        "/etc/hosts loses the 127.0.1.1 line: the node can't resolve its own name",
        "writing the line, by the agent",
        breaks=lambda tree, _: tree.drop_hosts_line(),
        mends=lambda tree, _: tree.add_hosts_line(),
        present=lambda tree: [] if tree.has_hosts_line() else [""],
    ),
    Fault(
        "closed-kernel",
        "an update leaves the kernel image readable by root alone: TFTP can't serve it",
        "making the image readable, by the agent",
        breaks=lambda tree, _: tree.close_kernel_image(closed=True),
        mends=lambda tree, _: tree.close_kernel_image(closed=False),
        present=lambda tree: [""] if tree.kernel_image_is_closed() else [],
    ),
)
FAULTS: dict[str, Fault] = {fault.name: fault for fault in _ROWS}


def find(name: str, argument: str = "") -> Fault:
    """Return the fault `name`. Raises `MisuseError` for an unknown one or a wrong argument."""
    fault = FAULTS.get(name.strip().lower().replace("_", "-"))
    if not fault:
        raise MisuseError(f"unknown fault {name!r}; expected one of {', '.join(FAULTS)}")
    if fault.argument and not argument:
        raise MisuseError(f"{fault.name} needs to know which: {fault.name} {fault.argument}")
    if argument and not fault.argument:
        raise MisuseError(f"{fault.name} takes no argument, found {argument!r}")
    return fault
