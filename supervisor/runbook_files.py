"""Read runbooks: one TOML file each, checked against what the core knows, errors with file:line.

A name that nobody knows (a condition kind, a treatment, a role) is an error here, so that a
typo is found when the file is loaded and not on the night the runbook is needed.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from common.toml_files import ConfigError, Problem, TomlFile, load
from common.topology import Role
from supervisor.core.effects import Actuator, Treatment
from supervisor.core.runbooks import Runbook, Step, Verify

# Every condition kind that a sense or detector can make true. Extend it with the detector.
KNOWN_CONDITIONS = frozenset(
    {
        "agent_down",
        "boot_loop",
        "clients_stalled",
        "clock_skewed",
        "clock_stepped",
        "clock_unsynced",
        "cpu_pressure",
        "filesystem_errors",
        "heartbeat_lost",
        "hung",
        "io_pressure",
        "k3s_api_down",
        "k3s_api_slow",
        "k3s_node_not_ready",
        "kernel_image_unreadable",
        "kernel_reports",
        "memory_pressure",
        "name_unresolvable",
        "netboot_failing",
        "nfs_stalled",
        "overheating",
        "port_disabled",
        "port_mismatch",
        "root_read_only",
        "root_stalled",
        "ssh_refused",
        "throttled",
        "timezone_wrong",
        "undervoltage",
        "unit_failed",
        "unpowered",
        "unreachable",
    }
)


def _kind(text: str) -> str:
    if text not in KNOWN_CONDITIONS:
        known = ", ".join(sorted(KNOWN_CONDITIONS))
        raise ValueError(f"unknown condition {text!r}; expected one of {known}")
    return text


Kind = Annotated[str, AfterValidator(_kind)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Text = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Match(_Table):
    """[match]: on which nodes, and what must be true for how long."""

    any: Annotated[tuple[Kind, ...], Field(min_length=1)]
    all: tuple[Kind, ...] = ()
    none: tuple[Kind, ...] = ()
    subjects: tuple[Text, ...] = ()
    at_most: Annotated[int, Field(ge=1)] | None = None
    roles: Annotated[tuple[Role, ...], Field(min_length=1)] = tuple(Role)
    confirm_s: Seconds = 5.0
    hold_s: Seconds = 10.0


class _Budget(_Table):
    """[budget]: actions per node within the window."""

    per_node: Annotated[int, Field(ge=1, le=100)] = 3
    window_s: Annotated[float, Field(gt=0, le=7 * 86400)] = 3600.0


class _Verify(_Table):
    """[step.verify]: what proves that the step helped."""

    false: tuple[Kind, ...] = ("heartbeat_lost",)
    new_boot: bool = False
    dependents: bool = False
    settle_s: Seconds = 5.0
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 300.0


class _Step(_Table):
    """[[step]]: one rung of the ladder."""

    treatment: Treatment
    verify: _Verify = Field(default_factory=_Verify)
    arguments: dict[str, str] = Field(default_factory=dict)
    times: Annotated[int, Field(ge=1, le=10)] = 1
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    only_if: tuple[Kind, ...] = ()
    unless: tuple[Kind, ...] = ()
    via: tuple[Actuator, ...] = ()


class _RunbookFile(_Table):
    title: Text
    why: Text
    foe: Text
    priority: Annotated[int, Field(ge=0, le=1000)] = 100
    match: _Match
    budget: _Budget = Field(default_factory=_Budget)
    step: Annotated[tuple[_Step, ...], Field(min_length=1)]


def load_runbook(path: Path) -> Runbook:
    """Read one file; its name without `.toml` is the runbook's. Raises `ConfigError`."""
    file = load(path)
    parsed = file.parse_as(_RunbookFile)
    if problems := [*_climbs_down(file, parsed), *_no_such_way(file, parsed)]:
        raise ConfigError(*problems)
    return Runbook(
        path.stem,
        parsed.title,
        " ".join(parsed.why.split()),
        parsed.foe,
        parsed.match.any,
        tuple(_step(step) for step in parsed.step),
        parsed.match.all,
        parsed.match.none,
        frozenset(parsed.match.subjects),
        parsed.match.at_most,
        parsed.match.roles,
        parsed.match.confirm_s,
        parsed.match.hold_s,
        parsed.budget.per_node,
        parsed.budget.window_s,
        parsed.priority,
    )


def load_runbooks(folder: Path) -> list[Runbook]:
    """Read every `*.toml` of a folder, by name. Raises `ConfigError` naming every problem."""
    if not folder.is_dir():
        raise ConfigError(Problem(str(folder), 0, "", "expected a folder of runbooks"))
    found, problems = [], list[Problem]()
    for path in sorted(folder.glob("*.toml")):
        try:
            found.append(load_runbook(path))
        except ConfigError as error:
            problems += error.problems
    if not found and not problems:
        problems.append(Problem(str(folder), 0, "", "expected at least one *.toml"))
    if problems:
        raise ConfigError(*problems)
    return found


def _climbs_down(file: TomlFile, parsed: _RunbookFile) -> list[Problem]:
    """A ladder goes from mild to drastic: nothing that keeps the node up follows a power cut."""
    problems, cut = [], False
    for index, step in enumerate(parsed.step):
        if cut and not step.treatment.takes_node_down:
            message = f"{step.treatment} is milder than a step before it; order mild to drastic"
            problems.append(file.problem(("step", index, "treatment"), message))
        cut = cut or step.treatment.takes_node_down
    return problems


def _no_such_way(file: TomlFile, parsed: _RunbookFile) -> list[Problem]:
    """Who is named in `via` must be able to give the treatment."""
    problems = []
    for index, step in enumerate(parsed.step):
        if wrong := sorted(set(step.via) - set(step.treatment.ways)):
            can = ", ".join(step.treatment.ways)
            message = f"{', '.join(wrong)} can't give {step.treatment}; expected among {can}"
            problems.append(file.problem(("step", index, "via"), message))
    return problems


def _step(step: _Step) -> Step:
    return Step(
        step.treatment,
        Verify(**step.verify.model_dump()),
        dict(step.arguments),
        step.times,
        step.deadline_s,
        step.only_if,
        step.unless,
        step.via,
    )
