"""A daemon as its control socket sees it, for tests: it notes its orders and answers with fixed nouns."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drand.model.chain import ChainInfo, Index
from drand.model.group import NANOSECONDS, Group, Node, Peer
from drand.model.packets import OUR_VERSION, Metadata
from drand.model.status import NodeStatus
from drand.net.handlers import CeremonyProgress, FollowOrder, SetupOrder, SyncProgress
from tests.support.served import CHAINED, GENESIS, IDENTITY, INFO, KEY, PERIOD, STATUS

GROUP = Group(
    nodes=(Node(IDENTITY, Index(0)),),
    threshold=1,
    period_ns=PERIOD * NANOSECONDS,
    catchup_period_ns=NANOSECONDS,
    genesis_unix_s=GENESIS,
    genesis_seed=bytes(range(32)),
    scheme=CHAINED,
    public_key=(KEY,),
)
MOMENTS = (
    CeremonyProgress(beacon_id="default", stage="waiting", leader=True, joined=("a:1",), wanted=2),
    CeremonyProgress(beacon_id="default", stage="dealing", joined=("a:1", "b:2"), received=1, wanted_bundles=2),
    CeremonyProgress(beacon_id="default", stage="failed", reason="too few dealers"),
)


@dataclass
class NotedDaemon:
    """ControlHandlers that note what they were told."""

    told: list[tuple[str, Metadata, Any]] = field(default_factory=list)
    failure: Exception | None = None
    ceremony_may_end: asyncio.Event = field(default_factory=asyncio.Event)
    ceremony_began: asyncio.Event = field(default_factory=asyncio.Event)
    ceremony_over: asyncio.Event = field(default_factory=asyncio.Event)

    def _note(self, what: str, metadata: Metadata, order: Any = None) -> None:
        self.told.append((what, metadata, order))
        if self.failure is not None:
            raise self.failure

    def reply_metadata(self, metadata: Metadata) -> Metadata:
        return Metadata(OUR_VERSION, metadata.beacon_id or "default", INFO.hash())

    async def status(self, metadata: Metadata, check: Sequence[Peer]) -> NodeStatus:
        self._note("status", metadata, tuple(check))
        return STATUS

    async def list_schemes(self) -> Sequence[str]:
        return ("one", "two")

    async def list_beacon_ids(self) -> Sequence[str]:
        return ("default", "other")

    async def init_dkg(self, metadata: Metadata, order: SetupOrder) -> Group:
        self._note("init_dkg", metadata, order)
        self.ceremony_began.set()
        await self.ceremony_may_end.wait()
        self.ceremony_over.set()
        return GROUP

    async def init_reshare(self, metadata: Metadata, order: SetupOrder) -> Group:
        self._note("init_reshare", metadata, order)
        return GROUP

    async def public_key(self, metadata: Metadata) -> bytes:
        return KEY

    async def chain_info(self, metadata: Metadata) -> ChainInfo:
        return INFO

    async def group_file(self, metadata: Metadata) -> Group:
        self._note("group_file", metadata)
        return GROUP

    async def shutdown(self, metadata: Metadata) -> None:
        self._note("shutdown", metadata)

    async def load_beacon(self, metadata: Metadata) -> None:
        self._note("load_beacon", metadata)

    async def start_follow(self, metadata: Metadata, order: FollowOrder) -> AsyncIterator[SyncProgress]:
        self._note("start_follow", metadata, order)
        yield SyncProgress(1, 2)
        yield SyncProgress(2, 2)

    async def start_check(self, metadata: Metadata, order: FollowOrder) -> AsyncIterator[SyncProgress]:
        self._note("start_check", metadata, order)
        yield SyncProgress(0, 0)

    async def backup(self, metadata: Metadata, output: Path) -> None:
        self._note("backup", metadata, output)

    async def remote_status(self, metadata: Metadata, peers: Sequence[Peer]) -> Mapping[str, NodeStatus]:
        self._note("remote_status", metadata, tuple(peers))
        return {"b:2": STATUS}

    async def abandon(self, metadata: Metadata, reason: str) -> None:
        self._note("abandon", metadata, reason)

    async def ceremony(self, metadata: Metadata) -> AsyncIterator[CeremonyProgress]:
        self._note("ceremony", metadata)
        for moment in MOMENTS:
            yield moment
