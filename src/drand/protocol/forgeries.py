"""What forgeries may cost: a share of the processor, for each network that sends them and for all together.

Who sends a partial, or a bundle of a ceremony, does not say who it is, so a stranger forges them for nothing, and to
find that out costs us a pairing, or two multiplications in the group of keys.
Only failed verifications are paid for, out of buckets that fill again with time: one for each network, and for all
that never sent anything good one for those that forged before and one for newcomers. Whose bucket is empty is refused
before anything is computed.

Each network forges for the first time once. So a flood keeps a member of whom nothing is known out only while new
networks join in it, one for each verification that the newcomers' bucket gives: at the beginning of a ceremony nothing
is known of anybody.

Members must not be locked out by others behind their address (NAT, a proxy). So a connection that brought a good
one is known, and pays nothing until it brings a bad one, which ends that. A partial whose place is free, under an index
that nobody forged, is taken unverified and needs no bucket at all, and so does a copy of a bundle that we hold: without
forgers nothing of this is noticed.
Source: ours; v1.5.11 verifies whatever comes (chain/beacon/node.go, ProcessPartialBeacon; core/broadcast.go).
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar

from collective.errors import Unavailable
from drand.model.packets import Origin
from drand.model.schemes import Scheme

FORGERS_SHARE: Final = 0.05  # of one processor, for all unknown networks together that forged before
NEWCOMERS_SHARE: Final = 0.05  # for the first forgery of each
NETWORK_SHARE: Final = 0.02  # for those of one network
SAVED_S: Final = 2.0  # a bucket holds what comes in this time
LEAST_BURST: Final = 4.0  # verifications
VERIFICATION_S: Final = 0.002  # of a partial: decoding, hashing and pairing on BLS12-381
SLOW_VERIFICATION_S: Final = 0.03  # on BN254, in Python
BUNDLE_S: Final = 0.001  # of a bundle: its Schnorr signature takes 0.3 ms over G1 of BLS12-381, 0.6 ms over G2
SLOW_BUNDLE_S: Final = 0.01  # 6 ms over G2 of BN254
MAX_REMEMBERED: Final = 4096  # of each: networks, connections; the one unused for longest is forgotten

KeyT = TypeVar("KeyT")


class TooManyForgeries(Unavailable):
    """Partials or bundles that do not verify come from the sender's network faster than they are looked at."""

    hint = "a member whose address is shared with the forger is taken again when the forging ends"


@dataclass(slots=True)
class _Bucket:
    """Verifications that may fail."""

    rate_per_s: float
    most: float
    left: float
    at: float
    used: bool = False  # one has failed

    def now_left(self, now: float) -> float:
        """How many, at unix time `now`; a clock that steps back gives none."""
        self.left = min(self.most, self.left + max(now - self.at, 0.0) * self.rate_per_s)
        self.at = now
        return self.left


def _bucket(share: float, cost_s: float, now: float) -> _Bucket:
    rate = share / cost_s
    most = max(LEAST_BURST, rate * SAVED_S)
    return _Bucket(rate, most, most, now)


class ForgeryBudget:
    """The buckets of one chain, for partials, or of one ceremony, for bundles."""

    def __init__(self, what: str, cost_s: float) -> None:
        """`what` names them in the plural, `cost_s` is what one verification takes."""
        self._what = what
        self._cost_s = cost_s
        self._strangers: dict[bool, _Bucket] = {}  # of those that forged before, and of newcomers
        self._networks: OrderedDict[str, _Bucket] = OrderedDict()
        self._known_networks: OrderedDict[str, None] = OrderedDict()
        self._known: OrderedDict[Origin, None] = OrderedDict()

    @classmethod
    def of_partials(cls, scheme: Scheme) -> "ForgeryBudget":
        """For signatures of rounds."""
        return cls("partials", SLOW_VERIFICATION_S if _slow(scheme) else VERIFICATION_S)

    @classmethod
    def of_bundles(cls, scheme: Scheme) -> "ForgeryBudget":
        """For what a ceremony's nodes sign with their long-term keys."""
        return cls("bundles", SLOW_BUNDLE_S if _slow(scheme) else BUNDLE_S)

    def check(self, origin: Origin | None, now: float) -> None:
        """Raise TooManyForgeries where nothing from `origin` is worth verifying now; None is never refused."""
        if origin is None or origin in self._known:
            return
        own = self._network(origin, now)
        if own.now_left(now) < 1:
            raise TooManyForgeries(f"too many {self._what} from {origin.network} do not verify")
        if origin.network not in self._known_networks and self._of_strangers(own, now).now_left(now) < 1:
            raise TooManyForgeries(f"too many {self._what} from unknown addresses do not verify")

    def failed(self, origin: Origin | None, now: float) -> None:
        """What came from `origin` was verified and is bad."""
        if origin is None:
            return
        self._known.pop(origin, None)
        buckets = [self._network(origin, now)]
        if origin.network not in self._known_networks:
            buckets.append(self._of_strangers(buckets[0], now))
        for bucket in buckets:
            bucket.left = max(0.0, bucket.now_left(now) - 1)
            bucket.used = True

    def proved(self, origin: Origin | None) -> None:
        """What came from `origin` is good."""
        if origin is not None:
            _remember(self._known, origin)
            _remember(self._known_networks, origin.network)

    def _network(self, origin: Origin, now: float) -> _Bucket:
        bucket = self._networks.pop(origin.network, None) or _bucket(NETWORK_SHARE, self._cost_s, now)
        self._networks[origin.network] = bucket
        if len(self._networks) > MAX_REMEMBERED:
            self._networks.popitem(last=False)
        return bucket

    def _of_strangers(self, own: _Bucket, now: float) -> _Bucket:
        """What a stranger, whose own bucket is `own`, shares with others."""
        if own.used not in self._strangers:
            share = FORGERS_SHARE if own.used else NEWCOMERS_SHARE
            self._strangers[own.used] = _bucket(share, self._cost_s, now)
        return self._strangers[own.used]


def _slow(scheme: Scheme) -> bool:
    return "BN254" in scheme.suite.name


def _remember(known: OrderedDict[KeyT, None], who: KeyT) -> None:
    known[who] = None
    known.move_to_end(who)
    if len(known) > MAX_REMEMBERED:
        known.popitem(last=False)
