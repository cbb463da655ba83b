"""Beacons, epochs and journal records for tests of stores, which look into none of them."""

from hashlib import sha256

from drand.model.bundles import Deal, DealBundle
from drand.model.chain import Beacon, Index, Round
from drand.model.group import Group, Identity, Node
from drand.model.records import BundleKept, CeremonyStarted, Epoch, Phase, PhaseEntered
from drand.model.schemes import scheme_named

SCHEME = scheme_named("pedersen-bls-chained")
POINT = SCHEME.key_group.encode(SCHEME.key_group.generator())


def chain(last: int, *, chained: bool = True, salt: str = "") -> list[Beacon]:
    """Beacons 0 to `last`, with signatures that no store looks into."""
    made = [Beacon(Round(0), b"seed" * 8)]
    for round_ in range(1, last + 1):
        signature = sha256(f"{salt}{round_}".encode()).digest() + bytes(16)
        made.append(Beacon(Round(round_), signature, made[-1].signature if chained else b""))
    return made


def group(public_key: tuple[bytes, ...] = (), genesis_unix_s: int = 1_700_000_000) -> Group:
    identity = Identity(address="127.0.0.1:1", key=POINT, tls=False, signature=b"", scheme=SCHEME)
    return Group(
        nodes=(Node(identity, Index(0)),),
        threshold=1,
        period_ns=3_000_000_000,
        catchup_period_ns=1_500_000_000,
        genesis_unix_s=genesis_unix_s,
        genesis_seed=bytes(32),
        scheme=SCHEME,
        public_key=public_key,
    )


EPOCH = Epoch(group=group((POINT,)), index=Index(0), epoch_id=b"e" * 32)
STARTED = CeremonyStarted(group=group(), leader=True, phase_s=10, started_unix_s=1.5)
BUNDLE = BundleKept(DealBundle(Index(0), (POINT,), (Deal(Index(1), b"sealed"),), b"s" * 32, b"signature"))
ENTERED = PhaseEntered(Phase.RESPONDING, 12.25)
