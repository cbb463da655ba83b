"""What a node says about itself when asked: the nouns behind `util status` and `util remote-status`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from drand.model.chain import Round


class DkgState(Enum):
    """Where the first key generation stands; the values are the wire's."""

    DONE = 0
    IN_PROGRESS = 1
    NOT_STARTED = 2


class ReshareState(Enum):
    """Whether a resharing runs; the values are the wire's."""

    IDLE = 0
    IN_PROGRESS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStatus:
    """What the store holds."""

    is_empty: bool
    last_round: Round
    length: int  # number of stored beacons, round 0 included


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """The status of one beacon on one node."""

    dkg: DkgState
    reshare: ReshareState
    is_inited: bool  # there is a beacon to speak of: the other four mean something
    is_running: bool
    is_stopped: bool
    is_started: bool
    is_serving: bool
    chain: ChainStatus
    connections: Mapping[str, bool] = field(default_factory=dict)  # address -> it answered
    other_chains: Mapping[str, bytes] = field(default_factory=dict)  # address -> chain hash, where it is not ours


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """The statuses that other nodes gave, by address. One that did not answer is absent."""

    statuses: Mapping[str, NodeStatus]
