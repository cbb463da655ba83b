"""A group whose secret the test knows: every node's partials, the beacons they make, epochs to start machines with."""

from dataclasses import replace
from functools import cache
from hashlib import sha256

from collective.groups.toy import toy
from collective.sharing.polynomial import SecretPolynomial
from collective.sharing.threshold import PartialSignature
from collective.signatures.bls import BlsScheme
from drand.model.chain import Beacon, Index, Round
from drand.model.group import NANOSECONDS, Group, Identity, Node, Peer
from drand.model.packets import PartialPacket
from drand.model.records import Epoch
from drand.model.schemes import Scheme
from tests.support.entropy import SeededEntropy

GENESIS_S = 1_000
PERIOD_S = 30


def _hash(data: bytes) -> bytes:
    return sha256(data).digest()


TOY_CHAINED = Scheme("toy-chained", BlsScheme(toy(), True, b"toy"), True, _hash)
TOY_UNCHAINED = Scheme("toy-unchained", BlsScheme(toy(), False, b"toy"), False, _hash)


class Committee:
    """`size` nodes holding shares of one secret, `threshold` of which make a beacon."""

    def __init__(self, scheme: Scheme = TOY_CHAINED, size: int = 4, threshold: int = 3, catchup_s: float = 1) -> None:
        self.scheme = scheme
        self.secret = SecretPolynomial.random(threshold, scheme.key_group.order, SeededEntropy(11))
        key_group = scheme.key_group
        keys = [key_group.encode(key_group.multiply(key_group.generator(), 2 + index)) for index in range(size)]
        self.group = Group(
            nodes=tuple(
                Node(Identity(address=f"n{at}:1", key=key, tls=False, signature=b"", scheme=scheme), Index(at))
                for at, key in enumerate(keys)
            ),
            threshold=threshold,
            period_ns=PERIOD_S * NANOSECONDS,
            catchup_period_ns=round(catchup_s * NANOSECONDS),
            genesis_unix_s=GENESIS_S,
            genesis_seed=_hash(b"seed"),
            scheme=scheme,
            public_key=tuple(self.secret.commit(key_group).encode()),
        )
        self._beacons = [Beacon(Round(0), self.group.genesis_seed)]

    def epoch(self, index: int) -> Epoch:
        """The epoch record of one node."""
        return Epoch(group=self.group, index=Index(index), epoch_id=b"epoch")

    def peer(self, index: int) -> Peer:
        """Where one node listens."""
        return self.group.nodes[index].identity.peer

    def due(self, round_: int) -> float:
        """When a round falls due."""
        return float(self.group.schedule.due_unix_s(round_))

    def beacon(self, round_: int) -> Beacon:
        """The one beacon of a round."""
        while len(self._beacons) <= round_:
            last = self._beacons[-1]
            digest = self.scheme.digest(last.round + 1, last.signature)
            signature = self.scheme.bls.sign(self.secret.constant, digest)
            previous = last.signature if self.scheme.chained else b""
            self._beacons.append(Beacon(Round(last.round + 1), signature, previous))
        return self._beacons[round_]

    def beacons(self, first: int, last: int) -> tuple[Beacon, ...]:
        """The beacons of rounds `first` to `last`."""
        return tuple(self.beacon(round_) for round_ in range(first, last + 1))

    def partial(self, index: int, round_: int, previous: bytes | None = None) -> PartialPacket:
        """A node's good partial of a round; `previous` if it is not to build on the real chain."""
        built_on = self.beacon(round_ - 1).signature if previous is None else previous
        share = self.secret.evaluate(index)
        signature = self.scheme.bls.sign(share, self.scheme.digest(round_, built_on))
        return PartialPacket(Round(round_), built_on, PartialSignature(index, signature).encode())

    def bad_partial(self, index: int, round_: int, variant: int = 0) -> PartialPacket:
        """A partial that decodes, under a node's index, but is a signature of something else."""
        good = self.partial(index, round_)
        signature = self.scheme.bls.sign(self.secret.evaluate(index), b"rubbish %d" % variant)
        return replace(good, partial=PartialSignature(index, signature).encode())

    def lie(self, round_: int) -> Beacon:
        """A well-formed beacon of a round with somebody's signature of something else."""
        return replace(self.beacon(round_), signature=self.scheme.bls.sign(self.secret.constant, b"lie %d" % round_))


@cache
def real_committee(scheme: Scheme) -> Committee:
    """A committee on a real curve, made once."""
    return Committee(scheme, size=5, threshold=3)
