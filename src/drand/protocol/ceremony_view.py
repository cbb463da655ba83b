"""What a status page, `drand util status` and the progress display of `drand share` may know about one beacon."""

from dataclasses import dataclass
from enum import Enum

from drand.model.chain import Index
from drand.model.group import Group
from drand.model.records import Phase
from drand.protocol.dkg import KeyGeneration
from drand.protocol.setup_follower import SetupFollower
from drand.protocol.setup_leader import SetupLeader


class State(Enum):
    """Where one beacon process stands."""

    IDLE = "idle"  # no group: a ceremony may begin
    LEADING = "leading"  # collecting candidates, or pushing their group
    JOINING = "joining"  # on the way to a leader, or waiting for its group
    GENERATING = "generating"  # the key generation runs
    RUNNING = "running"  # there is a group with a key: rounds are made


# Which state may follow which. A running beacon stays one: a new group comes through a resharing, not a fresh ceremony.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.IDLE: frozenset({State.LEADING, State.JOINING, State.GENERATING, State.RUNNING}),
    State.LEADING: frozenset({State.GENERATING, State.IDLE}),
    State.JOINING: frozenset({State.GENERATING, State.IDLE}),
    State.GENERATING: frozenset({State.RUNNING, State.IDLE}),
    State.RUNNING: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CeremonyView:
    """A ceremony from outside, at one moment. Nothing in it is secret.

    joined      addresses: of a leader, the candidates in the order they came (itself first); of a participant, those it
                knows of; during and after the key generation the group's, in index order
    wanted      how many candidates make the group complete; 0 while a participant does not know
    phase       of the key generation, None outside
    received    bundles of the current phase that are here, of `expected`
    trouble     of a participant: why the leader did not take its last call, "" when it did
    failure     why the last ceremony of this process failed, None when none did since
    """

    state: State
    leader: bool = False
    joined: tuple[str, ...] = ()
    wanted: int = 0
    group: Group | None = None  # the candidates while the key is generated, then the group with its key
    phase: Phase | None = None
    received: int = 0
    expected: int = 0
    trouble: str = ""
    failure: str | None = None


def view_of_setup(state: State, setup: SetupLeader | SetupFollower) -> CeremonyView:
    """While candidates gather."""
    if isinstance(setup, SetupLeader):
        return CeremonyView(state=state, leader=True, joined=setup.joined, wanted=setup.wanted)
    return CeremonyView(state=state, joined=setup.joined, trouble=setup.trouble)


def view_of_keygen(state: State, group: Group, keygen: KeyGeneration) -> CeremonyView:
    """While the key is generated."""
    received, expected = keygen.progress
    return CeremonyView(
        state=state,
        leader=keygen.leader,
        joined=_addresses(group),
        wanted=len(group.nodes),
        group=group,
        phase=keygen.phase,
        received=received,
        expected=expected,
    )


def view_of_group(state: State, group: Group) -> CeremonyView:
    """After it."""
    return CeremonyView(
        state=state, joined=_addresses(group), wanted=len(group.nodes), group=group, phase=Phase.FINISHED
    )


def _addresses(group: Group) -> tuple[str, ...]:
    return tuple(node.identity.address for node in group.nodes)


def named(culprits: tuple[tuple[Index, str], ...], group: Group | None) -> str:
    """The nodes that were left out, by address, for the operator who has to see to them."""
    told = []
    for index, what in culprits:
        node = group.node(index) if group is not None else None
        where = f" at {node.identity.address}" if node is not None else ""
        told.append(f"node {index}{where} {what}")
    return f" ({'; '.join(told)})" if told else ""
