"""What a beacon's machine asks for and what takes time: calls to peers, streams, verification, the vault.

Each errand is a task; its result comes back through `post` as an event. A machine waits for its answers, so an errand
that fails in a way nobody foresaw answers with a failure, too, and leaves its traceback in the log.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collective.errors import CollectiveError, Malformed, Unavailable
from drand.daemon.checking import BeaconChecker
from drand.model.chain import Beacon
from drand.model.group import Peer
from drand.model.packets import DkgPacket, Metadata, PartialPacket, SyncedBeacon, SyncRequest
from drand.model.schemes import Scheme
from drand.model.vault_messages import VaultRefused, VaultRequest
from drand.net.errors import PeerRefused
from drand.net.peer_client import PeerClient
from drand.protocol.steps import (
    Answered,
    BeaconsChecked,
    BeaconsReceived,
    Call,
    CallFailed,
    CheckBeacons,
    Event,
    FetchBeacons,
    StreamEnded,
    VaultReplied,
)
from drand.protocol.sync import CHECK_PATIENCE_S
from drand.vault.links import VaultLink

CHECK_AGAIN_S = 5.0  # after a verification that gave no verdict
TOO_BUSY = "RESOURCE_EXHAUSTED"  # the gRPC status of a call that was turned away unread
CHECK_TRIES = int(CHECK_PATIENCE_S / CHECK_AGAIN_S)  # the machine has started over by then


@dataclass(frozen=True, kw_only=True)
class Home:
    """The beacon that errands are run for.

    metadata   what goes on messages about it, at this moment
    post       takes the event that an errand ends with
    sent       hears of a partial that was sent: to whom, and why it did not get to some, by address
    """

    beacon_id: str
    scheme: Scheme
    metadata: Callable[[], Metadata]
    post: Callable[[Event], None]
    sent: Callable[[Sequence[Peer], Mapping[str, str]], None]
    log: logging.Logger


class Errands:
    """The errands of one beacon that are under way."""

    def __init__(self, home: Home, *, client: PeerClient, checker: BeaconChecker, vault: VaultLink) -> None:
        self._home = home
        self._client = client
        self._checker = checker
        self._vault = vault
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[int, asyncio.Task[None]] = {}

    @property
    def under_way(self) -> int:
        """How many have not ended."""
        return len(self._tasks)

    def send(self, peers: tuple[Peer, ...], message: PartialPacket | DkgPacket) -> None:
        """Send to all of `peers` at once; nothing comes back."""
        self._begin(self._send(peers, message))

    def call(self, call: Call) -> None:
        """Ask a peer; Answered or CallFailed comes back."""
        self._calls[call.call_id] = self._begin(self._call(call))

    def fetch(self, fetch: FetchBeacons) -> None:
        """Read a peer's stream; BeaconsReceived, and at last StreamEnded, come back."""
        self._calls[fetch.call_id] = self._begin(self._fetch(fetch))

    def abandon(self, call_id: int) -> None:
        """End a call or a stream; nothing comes back any more."""
        task = self._calls.pop(call_id, None)
        if task is not None:
            task.cancel()

    def check(self, check: CheckBeacons) -> None:
        """Verify beacons; BeaconsChecked comes back."""
        self._begin(self._check(check))

    def ask_vault(self, request: VaultRequest) -> None:
        """Ask the vault; VaultReplied comes back."""
        self._begin(self._ask_vault(request))

    def cancel(self) -> None:
        """End all of them; nothing comes back any more."""
        for task in self._tasks:
            task.cancel()
        self._calls.clear()

    async def wait(self) -> None:
        """Until those under way have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bug("running an errand", error)

    def _bug(self, doing: str, error: BaseException) -> str:
        self._home.log.error("internal error while %s", doing, exc_info=error)
        return f"internal error while {doing}"

    async def _send(self, peers: tuple[Peer, ...], message: PartialPacket | DkgPacket) -> None:
        failed: dict[str, str] = {}

        def not_reached(peer: Peer, error: CollectiveError) -> None:
            failed[peer.address] = str(error)

        reached = await self._client.broadcast(peers, message, self._home.metadata(), not_reached)
        self._home.log.debug("sent %s to %d of %d; %s", type(message).__name__, reached, len(peers), failed)
        if isinstance(message, PartialPacket):
            self._home.sent(peers, failed)

    async def _call(self, call: Call) -> None:
        event: Event
        try:
            answer = await self._client.call(call.peer, call.question, self._home.metadata(), scheme=self._home.scheme)
            event = Answered(call.call_id, answer)
        except PeerRefused as error:
            event = CallFailed(call.call_id, error.text, busy=error.code == TOO_BUSY)
        except CollectiveError as error:
            event = CallFailed(call.call_id, str(error))
        except Exception as error:  # noqa: BLE001  # the machine waits for an answer, whatever went wrong
            event = CallFailed(call.call_id, self._bug("calling a peer", error))
        self._finish_call(call.call_id, event)

    async def _fetch(self, fetch: FetchBeacons) -> None:
        reason: str | None = None
        try:
            request = SyncRequest(fetch.from_round, self._home.beacon_id)
            async with self._client.sync(fetch.peer, request, patience_s=fetch.patience_s) as batches:
                async for batch in batches:
                    self._home.post(BeaconsReceived(fetch.call_id, self._of_this_chain(fetch, batch)))
                    if any(synced.beacon.round >= fetch.up_to for synced in batch):
                        break
        except CollectiveError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001  # as above
            reason = self._bug("fetching beacons", error)
        self._finish_call(fetch.call_id, StreamEnded(fetch.call_id, reason))

    def _of_this_chain(self, fetch: FetchBeacons, batch: Sequence[SyncedBeacon]) -> tuple[Beacon, ...]:
        """The beacons of one batch up to the wanted round; raises Malformed when the stream is another chain's."""
        strangers = {synced.beacon_id for synced in batch} - {self._home.beacon_id, ""}
        if strangers:
            raise Malformed(
                f"{fetch.peer.address} sent beacons of {sorted(strangers)}, asked for {self._home.beacon_id!r}"
            )
        return tuple(synced.beacon for synced in batch if synced.beacon.round <= fetch.up_to)

    def _finish_call(self, call_id: int, event: Event) -> None:
        if self._calls.pop(call_id, None) is not None:
            self._home.post(event)

    async def _check(self, check: CheckBeacons) -> None:
        """Until there is a verdict, or nobody waits for it any more: one that is made up would blame a peer."""
        for _ in range(CHECK_TRIES):
            try:
                bad = await self._checker.bad_rounds(check.group, check.beacons)
            except Exception as error:  # noqa: BLE001  # no thread, no memory, or a bug: none is about the beacons
                self._bug("verifying beacons", error)
                await asyncio.sleep(CHECK_AGAIN_S)
            else:
                self._home.post(BeaconsChecked(check.check_id, bad))
                return

    async def _ask_vault(self, request: VaultRequest) -> None:
        try:
            reply = await self._vault.ask(request)
        except Unavailable as error:
            reply = VaultRefused(request.request_id, str(error), retry=True)
        except Exception as error:  # noqa: BLE001  # as above
            reply = VaultRefused(request.request_id, self._bug("asking the vault", error))
        self._home.post(VaultReplied(reply))
