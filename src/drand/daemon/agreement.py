"""Whether the other members of the group hold the chain that we hold: asked of each of them after a ceremony.

A ceremony of v1.5 can end with honest nodes on different chains: the leader signs the group hash, which covers neither
periods nor addresses, and nobody votes on the key. The chain hash covers all that makes a chain. This is a check and no
vote: a liar may answer anything, so a difference is told to the operator and stops nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from collective.errors import CollectiveError
from drand.model.chain import ChainInfo
from drand.model.group import Group, Identity, Peer
from drand.model.packets import OUR_VERSION, Metadata
from drand.net.peer_client import PeerClient

ASKED_AT_ONCE = 8  # members
ANSWER_S = 10.0  # for one member's answer
PATIENCE_MINUTES = 30  # then who gave no answer is not asked again

WHAT_TO_DO = (
    "do not announce the chain: compare `drand show chain-info --hash` with all operators, and where they differ"
    " abandon it: stop the daemons, `drand util reset`, and hold the ceremony again"
)


@dataclass(frozen=True, slots=True)
class OtherChain:
    """What a member answered that is not our chain: its hash, and by field what differs (theirs, ours)."""

    chain_hash: bytes
    differs: Mapping[str, tuple[object, object]]


def differences(theirs: ChainInfo, ours: ChainInfo) -> dict[str, tuple[object, object]]:
    """By field, what of two chains is not the same; empty exactly where hash and scheme are.

    The chain hash does not cover the scheme, and two schemes may share a curve.
    """
    pairs: dict[str, tuple[object, object]] = {
        "period_s": (theirs.period_s, ours.period_s),
        "genesis_unix_s": (theirs.genesis_unix_s, ours.genesis_unix_s),
        "public_key": (theirs.public_key.hex(), ours.public_key.hex()),
        "genesis_seed": (theirs.genesis_seed.hex(), ours.genesis_seed.hex()),
        "beacon_id": (theirs.beacon_id, ours.beacon_id),
        "scheme": (theirs.scheme.name, ours.scheme.name),
    }
    return {name: (their, our) for name, (their, our) in pairs.items() if their != our}


class Agreement:
    """Asks each other member of one group for its chain until it has answered once.

    others   by the address of a member, the other chain that it answered with; one entry a member at most
    """

    def __init__(
        self,
        client: PeerClient,
        beacon_id: str,
        log: logging.Logger,
        compared: Callable[[Mapping[str, OtherChain]], None],
    ) -> None:
        """`compared` is told of `others` when the check begins, and whenever there is one more."""
        self.others: dict[str, OtherChain] = {}
        self._client = client
        # Without a chain hash: a member with another chain would refuse ours as unknown, and not say which it has.
        self._metadata = Metadata(OUR_VERSION, beacon_id)
        self._log = log
        self._compared = compared
        self._group: Group | None = None
        self._unanswered: dict[Peer, str] = {}  # who is still to answer, and why it did not the last time
        self._size = 0  # of the group
        self._minutes = 0
        self._asking: asyncio.Task[None] | None = None

    def begin(self, group: Group, identity: Identity) -> None:
        """Ask everybody in `group` but `identity`; nothing where that was begun for this very group already."""
        if group == self._group:
            return
        self.close()
        self._group = group
        self.others = {}
        self._unanswered = dict.fromkeys(group.peers_but(identity), "not asked yet")
        self._size = len(group.nodes)
        self._minutes = 0
        self._compared(self.others)
        if self._unanswered:
            self._ask_again()

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    def on_minute(self) -> None:
        """A minute has passed: ask again who has not answered, or give up."""
        if not self._unanswered:
            return
        self._minutes += 1
        if self._minutes >= PATIENCE_MINUTES:
            self._give_up()
        elif self._asking is None or self._asking.done():
            self._ask_again()

    def _give_up(self) -> None:
        self.close()
        silent = {peer.address: why for peer, why in self._unanswered.items()}
        self._unanswered = {}
        self._log.info(
            "%d of %d members did not say which chain they hold: ask for their `drand show chain-info --hash`",
            len(silent),
            self._size,
            extra={"fields": {"members": silent}},
        )

    def _ask_again(self) -> None:
        self._asking = asyncio.get_running_loop().create_task(self._ask_all())

    async def _ask_all(self) -> None:
        assert self._group is not None
        waiting = iter(tuple(self._unanswered))
        ours = self._group.chain_info()
        await asyncio.gather(*(self._ask_some(waiting, ours) for _ in range(ASKED_AT_ONCE)))
        if not self._unanswered and not self.others:
            fields = {"chain": ours.hash().hex()}
            self._log.info("all %d members hold the same chain", self._size, extra={"fields": fields})

    async def _ask_some(self, waiting: Iterator[Peer], ours: ChainInfo) -> None:
        """Ask one after the other; `waiting` is shared with others that do the same."""
        for peer in waiting:
            try:
                async with asyncio.timeout(ANSWER_S):
                    theirs = await self._client.chain_info(peer, self._metadata)
                self._judge(peer, theirs, ours)
            except TimeoutError:
                self._unanswered[peer] = f"no answer within {ANSWER_S:g} s"
            except CollectiveError as error:
                self._unanswered[peer] = str(error)
            except Exception:  # noqa: BLE001  # a bug about one answer must not keep the others from being heard
                self._unanswered[peer] = "internal error"
                self._log.exception("internal error while comparing chains with %s", peer.address)

    def _judge(self, peer: Peer, theirs: ChainInfo, ours: ChainInfo) -> None:
        del self._unanswered[peer]
        differs = differences(theirs, ours)
        if not differs:
            return
        self.others[peer.address] = OtherChain(theirs.hash(), differs)
        fields = {"member": peer.address, "chain": theirs.hash().hex(), "ours": ours.hash().hex(), "differs": differs}
        self._log.error("%s holds another chain than this node; %s", peer.address, WHAT_TO_DO, extra={"fields": fields})
        self._compared(self.others)
