"""What a source said, against what the chain's key says."""

from collections.abc import Collection, Iterable

from collective.errors import Malformed
from drand.client.beacon import Provenance, VerifiedBeacon
from drand.client.errors import BrokenChain, ForgedBeacon, WrongChain, WrongRound
from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.verification import ChainVerifier


class Judge:
    """Verifies beacons of one chain and says who lied. May be used from several threads."""

    def __init__(self, info: ChainInfo) -> None:
        self.info = info
        self.chain_hash = info.hash()
        self.verifier = ChainVerifier(info.scheme, info.public_key)
        self._schedule = info.schedule

    def one(self, source: str, beacon: Beacon, now: float) -> VerifiedBeacon:
        """The beacon, verified; raises ForgedBeacon."""
        try:
            self.verifier.check(beacon)
        except InvalidBeacon as error:
            raise ForgedBeacon(source, str(error)) from error
        return self._given(beacon, Provenance(source, now))

    def require_linked(self, source: str, beacons: Iterable[Beacon], before: Beacon | None) -> None:
        """Raise WrongRound unless the rounds follow each other and `before`, in a chained scheme BrokenChain too."""
        previous = before
        for beacon in beacons:
            if previous is not None and beacon.round != previous.round + 1:
                raise WrongRound(source, f"round {beacon.round} came after round {previous.round}")
            if previous is not None and self.info.scheme.chained and beacon.previous_signature != previous.signature:
                raise BrokenChain(source, f"round {beacon.round} does not build on round {previous.round}")
            previous = beacon

    def accepted(
        self, source: str, beacons: Iterable[Beacon], bad: Collection[Round], now: float
    ) -> list[VerifiedBeacon]:
        """Beacons of which `verifier` has found those of `bad` wrong; raises ForgedBeacon for the first of these."""
        if bad:
            raise ForgedBeacon(source, f"round {min(bad)}: the signature does not verify ({len(bad)} of them)")
        provenance = Provenance(source, now)
        return [self._given(beacon, provenance) for beacon in beacons]

    def genesis(self, now: float) -> VerifiedBeacon:
        """Round 0 of a chained scheme: the genesis seed, which the chain hash covers."""
        return self._given(Beacon(Round(0), self.info.genesis_seed), Provenance("chain information", now))

    def _given(self, beacon: Beacon, provenance: Provenance) -> VerifiedBeacon:
        chained = self.info.scheme.chained
        return VerifiedBeacon(
            chain_hash=self.chain_hash,
            round=beacon.round,
            signature=beacon.signature,
            previous_signature=beacon.previous_signature if chained else b"",
            due_unix_s=self._schedule.due_unix_s(beacon.round),
            provenance=provenance,
        )


def judge_of(source: str, info: ChainInfo) -> Judge:
    """A judge for information that a source gave; raises WrongChain when its key is none."""
    try:
        return Judge(info)
    except Malformed as error:
        raise WrongChain(source, f"the chain's public key is no key of its scheme: {error}") from error
