"""The events that drand's machines take and the effects they answer with: the whole surface between protocol and shell.

`Persist`, `WakeAt`, `Due` and `Restarted` come from collective.machine. A shell that matches on `Effect` exhaustively
(`assert_never`) is told by mypy when an effect is added.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

from collective.machine import Due, Persist, Restarted, WakeAt
from drand.model.chain import Beacon, Round
from drand.model.group import Group, Peer
from drand.model.packets import Answer, DkgPacket, Message, Origin, PartialPacket, Question
from drand.model.records import Epoch, Phase, Record
from drand.model.vault_messages import RequestId, UserEntropy, VaultReply, VaultRequest

# ---------------------------------------------------------------- commands of the operator


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadCeremony:
    """Lead a fresh key generation (`drand share --leader`)."""

    nodes: int
    threshold: int
    period_s: int
    catchup_period_s: int
    dkg_timeout_s: int  # length of one phase, as it was typed; 0 means 10
    beacon_offset_s: int  # between the ceremony's latest end and genesis; 0 means 1
    secret: bytes
    entropy: UserEntropy | None = None

    def __repr__(self) -> str:
        return (
            f"LeadCeremony(nodes={self.nodes}, threshold={self.threshold}, period_s={self.period_s}, secret=<redacted>)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinCeremony:
    """Take part in a key generation that `leader` leads (`drand share --connect`)."""

    leader: Peer
    secret: bytes
    entropy: UserEntropy | None = None

    def __repr__(self) -> str:
        return f"JoinCeremony(leader={self.leader!r}, secret=<redacted>)"


@dataclass(frozen=True, slots=True)
class AbandonCeremony:
    """Give up the running ceremony."""

    reason: str


Command: TypeAlias = LeadCeremony | JoinCeremony | AbandonCeremony

# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Commanded:
    """The operator wants something."""

    command: Command


@dataclass(frozen=True, slots=True)
class Received:
    """A peer sent `message`. `sender` is what the transport says (ip:port), for reports only: never trusted.

    origin   what the costs of forgeries are counted by; None: they are not counted
    """

    sender: str
    message: Message
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class VaultReplied:
    """The vault answered."""

    reply: VaultReply


@dataclass(frozen=True, slots=True)
class Answered:
    """A peer answered the Call of this id."""

    call_id: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The Call of this id failed: `reason` is the peer's error or the transport's.

    busy   the peer had no room for the call and has not looked at it: the same again may be heard
    """

    call_id: int
    reason: str
    busy: bool = False


@dataclass(frozen=True, slots=True)
class BeaconsReceived:
    """Beacons from the stream of this id, in the order they came; nothing about them has been checked."""

    call_id: int
    beacons: tuple[Beacon, ...]


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The stream of this id is over; `reason` is None when it ended well."""

    call_id: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class BeaconsChecked:
    """The shell verified the signatures of one CheckBeacons: `bad` are the rounds that failed."""

    check_id: int
    bad: frozenset[Round]


Event: TypeAlias = (
    Due
    | Restarted[Record]
    | Commanded
    | Received
    | VaultReplied
    | Answered
    | CallFailed
    | BeaconsReceived
    | StreamEnded
    | BeaconsChecked
)

# ---------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Send:
    """Send `message` to every one of `peers`, in parallel, each with a deadline; failures are counted, not retried."""

    peers: tuple[Peer, ...]
    message: PartialPacket | DkgPacket


@dataclass(frozen=True, slots=True)
class Call:
    """Ask `peer` and come back with Answered or CallFailed."""

    call_id: int
    peer: Peer
    question: Question


@dataclass(frozen=True, slots=True)
class FetchBeacons:
    """Open a SyncChain stream; come back with BeaconsReceived (in bounded batches) and at last StreamEnded.

    The shell closes the stream after the beacon of `up_to`, and ends it with a reason when nothing came for
    `patience_s`.
    """

    call_id: int
    peer: Peer
    from_round: Round
    up_to: Round
    patience_s: float


@dataclass(frozen=True, slots=True)
class Abandon:
    """Close the call or stream of this id; no event comes back."""

    call_id: int


@dataclass(frozen=True, slots=True)
class CheckBeacons:
    """Verify the signatures of these beacons under `group`'s key, in batches; come back with BeaconsChecked."""

    check_id: int
    group: Group
    beacons: tuple[Beacon, ...]


@dataclass(frozen=True, slots=True)
class AskVault:
    """Put a request to the vault; its reply comes back as VaultReplied."""

    request: VaultRequest


@dataclass(frozen=True, slots=True)
class Publish:
    """A new beacon is stored: subscribers, streams and the HTTP interface may have it."""

    beacon: Beacon


# ---------------------------------------------------------------- facts: what logs, metrics and displays are made of


@dataclass(frozen=True, slots=True)
class CandidateJoined:
    """Somebody signalled to the leader."""

    address: str
    present: int
    wanted: int


@dataclass(frozen=True, slots=True)
class GroupProposed:
    """The candidate group is known; the key generation begins."""

    group: Group


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """The key generation moved on."""

    phase: Phase
    received: int  # bundles of the phase that ended
    expected: int


@dataclass(frozen=True, slots=True)
class CulpritNamed:
    """A participant provably or probably broke the protocol."""

    index: int
    what: str
    proved: bool


@dataclass(frozen=True, slots=True)
class CeremonyFinished:
    """The key generation succeeded."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class CeremonyFailed:
    """The ceremony is over without a key."""

    reason: str


@dataclass(frozen=True, slots=True)
class RoundMade:
    """A round was aggregated here. `late_s` is counted from the second at which it was due."""

    round: Round
    late_s: float
    signers: tuple[int, ...] = ()  # indices whose partials it was recovered from


@dataclass(frozen=True, slots=True)
class RoundMissed:
    """A tick came and the chain is behind."""

    round: Round
    last: Round


@dataclass(frozen=True, slots=True)
class SyncProgressed:
    """Catching up."""

    round: Round
    target: Round


@dataclass(frozen=True, slots=True)
class Noted:
    """Anything else worth a log line. `level` is one of debug, info, warning, error."""

    level: str
    text: str
    details: tuple[tuple[str, str], ...] = ()


Fact: TypeAlias = (
    CandidateJoined
    | GroupProposed
    | PhaseChanged
    | CulpritNamed
    | CeremonyFinished
    | CeremonyFailed
    | RoundMade
    | RoundMissed
    | SyncProgressed
    | Noted
)


@dataclass(frozen=True, slots=True)
class Report:
    """Something happened that operators may want to see; the shell turns it into words and counters."""

    fact: Fact


Effect: TypeAlias = (
    Persist[Record] | Send | Call | FetchBeacons | Abandon | CheckBeacons | AskVault | WakeAt | Publish | Report
)


@dataclass(slots=True)
class Ids:
    """Numbers calls and requests; deterministic, shared by the machines of one beacon process.

    `boot` differs from one start of the process to the next (the shell passes it): the ids of two lives never meet.
    """

    boot: str = ""
    _next: "count[int]" = field(default_factory=lambda: count(1))

    def call(self) -> int:
        """A fresh call, stream or check id."""
        return next(self._next)

    def request(self, kind: str) -> RequestId:
        """A fresh vault request id."""
        return RequestId(f"{self.boot}/{kind}/{next(self._next)}")


__all__ = [
    "Abandon",
    "AbandonCeremony",
    "Answered",
    "AskVault",
    "BeaconsChecked",
    "BeaconsReceived",
    "Call",
    "CallFailed",
    "CandidateJoined",
    "CeremonyFailed",
    "CeremonyFinished",
    "CheckBeacons",
    "Command",
    "Commanded",
    "CulpritNamed",
    "Due",
    "Effect",
    "Event",
    "Fact",
    "FetchBeacons",
    "GroupProposed",
    "Ids",
    "JoinCeremony",
    "LeadCeremony",
    "Noted",
    "Persist",
    "PhaseChanged",
    "Publish",
    "Received",
    "Report",
    "Restarted",
    "RoundMade",
    "RoundMissed",
    "Send",
    "StreamEnded",
    "SyncProgressed",
    "VaultReplied",
    "WakeAt",
]
