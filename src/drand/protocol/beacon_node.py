"""One chain: ticks, partials, beacons, and catching up, from the first round of an epoch on.

At the tick of round c we sign the round after our head, whatever round that is: nothing is ever skipped. While the
chain is halted every node signs that same round again and again; once a threshold is back the missing rounds are made
one by one, `catchup_period` apart, each with its own number. Whoever is behind alone fetches what the others have.

Source: drand v1.5.11, chain/beacon/node.go (Handler.run) and chainstore.go (runAggregator). Differences, all ours:
partials go out on the exact second; they are verified only when the recovered signature is bad; a node that misses one
round fetches it at the next tick (v1.5.11 does too, but only if no beacon came by sync within two periods).
"""

from typing import Final

from collective.errors import BadSetting
from collective.machine import Due, Persist, WakeAt
from drand.model.chain import Beacon, Round
from drand.model.group import Group, Peer
from drand.model.packets import Origin, PartialPacket
from drand.model.records import BeaconsStored, BeaconStored, Epoch
from drand.model.vault_messages import PartialSigned, SignPartial, VaultRefused, VaultReply
from drand.protocol.aggregation import Aggregation
from drand.protocol.chain import Chain, genesis_beacon
from drand.protocol.signing import OwnPartials
from drand.protocol.steps import (
    AskVault,
    BeaconsChecked,
    BeaconsReceived,
    CulpritNamed,
    Effect,
    Event,
    Ids,
    Noted,
    Publish,
    Received,
    Report,
    RoundMade,
    RoundMissed,
    Send,
    StreamEnded,
    SyncProgressed,
    VaultReplied,
)
from drand.protocol.sync import Sync
from drand.protocol.ticker import ROUND_ALARM, Ticker

CATCHUP_ALARM: Final = "catchup"  # sign the next round of a chain that is behind
SYNC_ALARM: Final = "sync"  # peers are ahead: fetch, unless the partials have done it meanwhile
LEAST_PAUSE_S: Final = 0.1  # before the vault is asked again; doubled each time, up to the most
MOST_PAUSE_S: Final = 5.0
SETTLE_S: Final = 0.25  # after synced beacons, for more of them to come
HINT_PAUSE_S: Final = 0.5  # before a hint is followed; a tenth of a shorter period


class BeaconNode:
    """The machine of one running chain. `head` is the last beacon, which is on disk once its Persist is carried out.

    Each method takes what happened and answers with effects; a message that is refused raises a CollectiveError and
    changes nothing.
    """

    def __init__(self, epoch: Epoch, own: Peer, last: Beacon | None, ids: Ids) -> None:
        """A node that is not started.

        own     our address, as the group has it at `epoch.index`
        last    the last stored beacon; None for an empty store, which `start` then opens with the genesis beacon
        raises  BadSetting when the group has somebody else at our index; ForeignChain when `last` is another chain's
                genesis; MalformedPoint when the group's key does not decode
        """
        group = epoch.group
        node = group.node(epoch.index)
        if node is None or node.identity.peer != own:
            raise BadSetting(
                f"node {epoch.index} of the group of beacon {group.beacon_id!r} is not {own.address}",
                hint="was the group file edited by hand? Address and TLS flag must be as in the ceremony",
            )
        self._group = group
        self._index = epoch.index
        self._others = tuple(other.identity.peer for other in group.nodes if other.index != epoch.index)
        self._empty = last is None
        self._chain = Chain(group, last or genesis_beacon(group))
        self._ticker = Ticker(group.schedule)
        self._aggregation = Aggregation(epoch)
        self._signing = OwnPartials(epoch.epoch_id, ids)
        self._sync = Sync(group, epoch.index, ids)
        self._running = False
        self._refused = Round(0)  # the round that the vault refused last, and how often in a row
        self._refusals = 0
        self._hint = Round(0)  # up to where peers' partials show that the others have come
        self._hinted = Round(0)  # the current round when a hint was last followed
        self._hint_waits = False  # the alarm to follow it is set

    @property
    def group(self) -> Group:
        """The group whose chain this is."""
        return self._group

    @property
    def head(self) -> Beacon:
        """The last beacon of the chain."""
        return self._chain.head

    @property
    def running(self) -> bool:
        """Whether it is started and not stopped."""
        return self._running

    @property
    def syncing(self) -> bool:
        """Whether beacons are being fetched from a peer."""
        return self._sync.running

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take any event; those that are not about a running chain have no effect."""
        match event:
            case Due(alarm):
                return self.on_due(alarm, now)
            case Received(sender, PartialPacket() as packet, origin):
                return self.on_partial(sender, packet, now, origin)
            case VaultReplied(reply):
                return self.on_vault_reply(reply, now)
            case BeaconsReceived():
                return self.on_beacons(event, now)
            case StreamEnded():
                return self.on_stream_ended(event, now)
            case BeaconsChecked():
                return self.on_checked(event, now)
            case _:
                return []

    # ------------------------------------------------------------ begin and end

    def start(self, now: float) -> list[Effect]:
        """Begin: before genesis, wait for it; after it, fetch what is missing, and sign the next round in case that all
        others wait for us: then a halted chain goes on at once.
        """
        self._running = True
        effects: list[Effect] = []
        if self._empty:
            self._empty = False
            effects.append(Persist(BeaconStored(self.head)))
        effects.append(self._ticker.start(now))
        current = self._ticker.current(now)
        if self.head.round < current:
            effects += self._sync.want(current, self.head) + self._sign_next()
        return effects

    def stop(self) -> list[Effect]:
        """End: close the stream if one is open; later events have no effect."""
        self._running = False
        return self._sync.stop()

    # ------------------------------------------------------------ time

    def on_due(self, alarm: str, now: float) -> list[Effect]:
        """One of our three alarms rang; an alarm of another machine has no effect."""
        if not self._running:
            return []
        if alarm == ROUND_ALARM:
            self._hint_waits = False
            round_, wake = self._ticker.on_due(now)
            return [wake] if round_ is None else [wake, *self._sync.on_tick(round_), *self._tick(round_)]
        if alarm == CATCHUP_ALARM:
            return self._catch_up(now)
        if alarm == SYNC_ALARM:
            self._hint_waits = False
            return self._sync.want(self._hint, self.head)
        return []

    def _catch_up(self, now: float) -> list[Effect]:
        """Sign the next round of a chain that is behind, unless synced beacons are about to settle it."""
        if self.head.round >= self._ticker.current(now):
            return []
        return [WakeAt(CATCHUP_ALARM, now + SETTLE_S)] if self._sync.verifying else self._sign_next()

    def _tick(self, current: Round) -> list[Effect]:
        """Round `current` falls due (v1.5.11, Handler.run and broadcastNextPartial)."""
        head = self.head
        if head.round > current:
            text = f"the clock says round {current}, but the chain is at round {head.round} already"
            return [Report(Noted("warning", text))]
        if head.round == current:  # the others were faster; our partial may still help one that lost theirs
            parent = self._chain.parent_signature
            return [] if parent is None else self._sign(current, parent)
        effects = self._sign_next()
        if head.round + 1 < current:
            effects += [Report(RoundMissed(current, head.round)), *self._sync.want(current, head)]
        return effects

    # ------------------------------------------------------------ our own partial

    def _sign_next(self) -> list[Effect]:
        return self._sign(Round(self.head.round + 1), self.head.signature)

    def _sign(self, round_: Round, previous_signature: bytes) -> list[Effect]:
        """Send our partial if we have it, ask the vault for it otherwise."""
        match self._signing.want(round_, previous_signature):
            case PartialPacket() as packet:
                return [Send(self._others, packet)]
            case SignPartial() as request:
                return [AskVault(request)]
            case None:
                return []

    def on_vault_reply(self, reply: VaultReply, now: float) -> list[Effect]:
        """The vault signed, or would not; replies to anything but our open request have no effect."""
        if not self._running:
            return []
        if isinstance(reply, PartialSigned):
            return self._on_signed(reply, now)
        if isinstance(reply, VaultRefused):
            return self._on_refused(reply, now)
        return []

    def _on_signed(self, reply: PartialSigned, now: float) -> list[Effect]:
        """Send first, so that nobody waits for our disk; raises when the vault's partial is not ours or not valid."""
        packet = self._signing.on_signed(reply)
        if packet is None or packet.round < self.head.round:
            return []
        self._aggregation.add_own(packet, self.head)
        self._signing.keep(packet)
        return [Send(self._others, packet), *self._aggregate(now)]

    def _on_refused(self, reply: VaultRefused, now: float) -> list[Effect]:
        """Ask again soon if that may help: our clock may be a little ahead of the vault's, or the link is down."""
        round_ = self._signing.on_refused(reply)
        if round_ is None:
            return []
        effects: list[Effect] = []
        if round_ != self._refused:
            self._refused, self._refusals = round_, 0
            level = "warning" if reply.retry else "error"
            effects.append(Report(Noted(level, f"the vault did not sign round {round_}", (("reason", reply.reason),))))
        if reply.retry:
            pause_s = min(MOST_PAUSE_S, LEAST_PAUSE_S * 2 ** min(self._refusals, 10))
            self._refusals += 1
            effects.append(WakeAt(CATCHUP_ALARM, now + pause_s))
        return effects

    # ------------------------------------------------------------ partials of the others

    def on_partial(self, sender: str, packet: PartialPacket, now: float, origin: Origin | None = None) -> list[Effect]:
        """A partial came in. `sender` is what the transport says, and proves nothing; the packet is not signed.

        raises  as Aggregation.add does
        """
        if not self._running:
            return []
        current = self._ticker.current(now)
        kept = self._aggregation.add(packet, self.head, current, origin=origin, now=now)
        effects = self._aggregate(now) if kept else []
        return effects + self._follow_hint(packet.round, current, now)

    def _follow_hint(self, round_: Round, current: Round, now: float) -> list[Effect]:
        """A partial of `round_` says that the round before exists. Where we lack it, fetch it, in a moment.

        The moment lets partials under way do their work. Anybody can send such a hint: unless our own clock says, too,
        that we are behind, it is followed once a round only.
        """
        if round_ <= self.head.round + 1:
            return []
        self._hint = max(self._hint, Round(round_ - 1))
        doubtful = self._hinted == current and self.head.round + 1 >= current
        if doubtful or self._hint_waits or self._sync.running:
            return []
        self._hinted, self._hint_waits = current, True
        return [WakeAt(SYNC_ALARM, now + min(HINT_PAUSE_S, self._group.period_s / 10))]

    def _aggregate(self, now: float) -> list[Effect]:
        """Make the next beacon, and the ones after it, as far as the partials held allow."""
        effects: list[Effect] = []
        before = self.head.round
        while True:
            combined = self._aggregation.combine(self.head)
            if combined.beacon is not None:
                effects += self._append(combined.beacon, combined.signers, now)
            effects += [self._name(culprit) for culprit in combined.culprits]
            if combined.beacon is None:
                break
        if self.head.round > before:
            effects += self._sync.appended(self.head) + self._keep_pace(now)
        return effects

    def _name(self, culprit: int) -> Effect:
        """Report a bad partial. It proves nothing: whoever sent it could have written any index into it."""
        if culprit != self._index:
            return Report(CulpritNamed(culprit, "a partial signature under its index does not verify", proved=False))
        self._signing.discard()
        text = "our own partial does not verify: the vault's share does not belong to this group"
        return Report(Noted("error", text))

    def _append(self, beacon: Beacon, signers: tuple[int, ...], now: float) -> list[Effect]:
        """A beacon that was aggregated here, so that its signature is verified."""
        self._chain.append(beacon)
        self._aggregation.forget(self.head)
        late_s = now - self._group.schedule.due_unix_s(beacon.round)
        return [Persist(BeaconStored(beacon)), Publish(beacon), Report(RoundMade(beacon.round, late_s, signers))]

    def _keep_pace(self, now: float) -> list[Effect]:
        """After a round was made: still behind? Then the next one, at the pace of catching up."""
        if self.head.round >= self._ticker.current(now):
            return []
        pause_s = self._group.catchup_period_s
        return [WakeAt(CATCHUP_ALARM, now + pause_s)] if pause_s > 0 else self._sign_next()

    # ------------------------------------------------------------ catching up

    def on_beacons(self, event: BeaconsReceived, now: float) -> list[Effect]:
        """Beacons came from the peer that we fetch from."""
        return self._sync.on_beacons(event, self.head) if self._running else []

    def on_stream_ended(self, event: StreamEnded, now: float) -> list[Effect]:
        """The stream from the peer that we fetch from is over."""
        return self._sync.on_ended(event) if self._running else []

    def on_checked(self, event: BeaconsChecked, now: float) -> list[Effect]:
        """Fetched beacons were verified: store the good ones, in order, and join in where the others are."""
        if not self._running:
            return []
        verified = self._sync.on_checked(event, self.head)
        fresh = self._chain.extend(verified.beacons)
        effects = list(verified.effects)
        if not fresh:
            return effects
        self._aggregation.forget(self.head)
        effects.append(Persist(BeaconsStored(fresh)))
        effects += [Publish(beacon) for beacon in fresh]
        effects.append(Report(SyncProgressed(self.head.round, max(self._sync.target, self.head.round))))
        return effects + self._aggregate(now) + self._join(now)

    def _join(self, now: float) -> list[Effect]:
        """Sign the running round if it is the next one: its threshold may depend on us.

        An earlier one we sign only when no more beacons come for a moment, since then the others are there, too.
        """
        behind = self._ticker.current(now) - self.head.round
        if behind > 1:
            return [WakeAt(CATCHUP_ALARM, now + max(SETTLE_S, self._group.catchup_period_s))]
        return self._sign_next() if behind == 1 else []
