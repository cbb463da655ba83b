"""A chain with a known key: every round of it can be signed in a test, so every file locked to it can be opened."""

from dataclasses import dataclass, field
from functools import cached_property

from collective.entropy import random_scalar
from collective.secret import SecretScalar
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import scheme_named
from tests.support.entropy import SeededEntropy

TIMELOCK_SCHEMES = (
    "pedersen-bls-unchained",
    "bls-unchained-on-g1",
    "bls-unchained-g1-rfc9380",
    "bls-bn254-unchained-on-g1",
)


@dataclass
class LockedChain:
    """A one-person chain. As a beacon source it gives rounds up to `latest`, all of them while that is None."""

    scheme_name: str = "bls-unchained-g1-rfc9380"
    beacon_id: str = "locked"
    seed: int = 1
    genesis_unix_s: int = 1_700_000_000
    period_s: int = 3
    latest: int | None = None
    asked: list[int] = field(default_factory=list)

    @cached_property
    def secret(self) -> SecretScalar:
        return SecretScalar(random_scalar(SeededEntropy(self.seed), self.info_scheme.key_group.order))

    @cached_property
    def info_scheme(self):
        return scheme_named(self.scheme_name)

    @cached_property
    def info(self) -> ChainInfo:
        scheme = self.info_scheme
        return ChainInfo(
            public_key=scheme.key_group.encode(scheme.bls.public_key(self.secret)),
            period_s=self.period_s,
            genesis_unix_s=self.genesis_unix_s,
            genesis_seed=bytes(32),
            scheme=scheme,
            beacon_id=self.beacon_id,
        )

    def beacon(self, round_: int) -> Beacon:
        scheme = self.info_scheme
        return Beacon(Round(round_), scheme.bls.sign(self.secret, scheme.digest(round_, b"")))

    def get(self, round_: int) -> Beacon:
        self.asked.append(round_)
        if self.latest is not None and round_ > self.latest:
            raise BeaconNotFound(f"round {round_} is not there")
        return self.beacon(round_)


class StoppedClock:
    """A clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.time = now

    def now(self) -> float:
        return self.time
