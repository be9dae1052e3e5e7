"""The heartbeat's wire format: what agent and supervisor say to each other, as JSON.

POST /v1/heartbeat, agent to supervisor, each `interval_s`. Both ways are signed
(`common.signing`); headers carry node, term and signature, the body everything else.

A session is a random nonce that the supervisor hands out (401, `Challenge`) and that every
heartbeat repeats, with a sequence number that only grows. A supervisor that restarted knows
no session, so whatever was captured before means nothing to it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.observations import Observation, Sense, Truth

HEARTBEAT_PATH = "/v1/heartbeat"
NODE_HEADER = "Pimedic-Node"
TERM_HEADER = "Pimedic-Term"
SIGNATURE_HEADER = "Pimedic-Signature"
MAX_BODY_BYTES = 64 * 1024

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.@:-]+$")]
ShortText = Annotated[str, Field(max_length=400)]
Duration = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class WireModel(BaseModel):
    """Unknown keys are errors, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WireObservation(WireModel):
    """An agent's observation: `kind` names the condition, `status` what is held true of it."""

    kind: Name
    status: Truth
    subject: ShortText = ""
    detail: ShortText = ""
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    age_s: Duration = 0.0

    def observed_of(self, node: str) -> Observation:
        """Return it as the core's type."""
        return Observation(
            Sense.AGENT,
            node,
            self.kind,
            self.status,
            self.subject,
            self.detail,
            self.value,
            self.age_s,
        )


class CommandResult(WireModel):
    """What came of a command. Repeated until a reply acknowledges it."""

    id: Name
    status: Literal["succeeded", "failed", "refused", "expired"]
    detail: ShortText = ""
    took_s: Duration = 0.0


class Witnessed(WireModel):
    """Something the agent saw or did while nobody answered it. Repeated until acknowledged.

    `kind` is condition, treatment or supervisor. `sequence` only grows within a boot.
    """

    sequence: Annotated[int, Field(ge=0, lt=2**63)]
    kind: Name
    text: ShortText
    age_s: Duration


class Heartbeat(WireModel):
    """One beat. `uptime_s` is CLOCK_BOOTTIME; `wall_ns` is t0 of the four timestamps."""

    version: Literal[1] = 1
    node: Name
    boot_id: Name
    session: Annotated[str, Field(max_length=64)]
    sequence: Annotated[int, Field(ge=0, lt=2**63)]
    uptime_s: Duration
    wall_ns: Annotated[int, Field(ge=0, lt=2**63)]
    agent_version: ShortText = ""
    observations: Annotated[tuple[WireObservation, ...], Field(max_length=256)] = ()
    results: Annotated[tuple[CommandResult, ...], Field(max_length=64)] = ()
    journal: Annotated[tuple[Witnessed, ...], Field(max_length=32)] = ()


class Command(WireModel):
    """An order to carry out one allow-listed treatment, at most once per (id, boot)."""

    id: Name
    treatment: Name
    arguments: dict[Name, ShortText] = Field(default_factory=dict, max_length=16)
    deadline_s: Duration


class Reply(WireModel):
    """The answer to a beat. `received_ns` and `sent_ns` are t1 and t2 of the four timestamps."""

    version: Literal[1] = 1
    received_ns: int
    sent_ns: int
    interval_s: Annotated[float, Field(ge=0.05, le=60)]
    commands: tuple[Command, ...] = ()
    acknowledged: tuple[Name, ...] = ()
    journal_acknowledged: int | None = None
    """The newest journal entry that the supervisor has, and with it all before."""


class Challenge(BaseModel):
    """The problem+json a beat without a valid session gets: beat again with this nonce."""

    type: Literal["urn:pimedic:problem:challenge"] = "urn:pimedic:problem:challenge"
    title: str = "Answer the nonce"
    status: Literal[401] = 401
    nonce: str
