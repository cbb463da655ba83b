"""Verification of beacons, one by one and in batches, for each of the five schemes, side by side in one run.

Both ways are timed in turn, on the same signatures, in CPU time of this thread, from bytes to verdict: digest, hashing
to the curve, decoding with its subgroup check, pairings. The ratio is the median of the ratios of the samples, so it
means something on a busy machine; the microseconds do less so. Go's binary has no command that verifies and does
nothing else: for Go see the row of catching up, where it verifies one by one.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.contestants import say
from bench.table import Goal, Row
from collective.entropy import SystemEntropy, random_scalar
from collective.groups.bls12381 import available_backends, bls12381
from collective.secret import SecretScalar
from collective.signatures.batch import GOOD_BATCH
from drand.model.chain import Beacon, Round
from drand.model.schemes import SCHEME_NAMES, Scheme, scheme_named
from drand.model.verification import ChainVerifier

ENTROPY = SystemEntropy()
SINGLE_SAMPLE = 100  # as many are verified one by one; more would only take longer
GOAL_ON_G1, GOAL_ON_G2 = 6.0, 3.0


class Timing(NamedTuple):
    """One scheme on one backend; microseconds of CPU a beacon, the median of the samples, and all ratios."""

    name: str
    on_g1: bool
    single_us: float
    batched_us: float
    ratios: list[float]


@dataclass(frozen=True, slots=True)
class Case:
    """Beacons of one chain and what verifies them."""

    name: str
    verifier: ChainVerifier
    beacons: list[Beacon]

    def one_by_one(self) -> int:
        """Verify the sample; how many that were."""
        for beacon in self.beacons[:SINGLE_SAMPLE]:
            self.verifier.check(beacon)
        return len(self.beacons[:SINGLE_SAMPLE])

    def batched(self) -> int:
        """Verify all; how many that were."""
        if self.verifier.bad_rounds(self.beacons, ENTROPY):
            raise AssertionError("a good batch was refused")
        return len(self.beacons)


def schemes(every_backend: bool, only: list[str] | None = None) -> list[tuple[str, Scheme]]:
    """The five schemes on the backend a node would take here, or the BLS12-381 ones on each that is installed."""
    found = [(name, scheme_named(name)) for name in SCHEME_NAMES]
    if every_backend:
        found = [
            (f"{name} ({backend})", replace(scheme, bls=replace(scheme.bls, suite=bls12381(backend))))
            for name, scheme in found
            if "bn254" not in name
            for backend in available_backends()
        ] + [(name, scheme) for name, scheme in found if "bn254" in name]
    return [(name, scheme) for name, scheme in found if not only or any(part in name for part in only)]


def case(name: str, scheme: Scheme, count: int) -> Case:
    """A chain of `count` rounds under a fresh key; a chained one chains from random bytes."""
    secret = SecretScalar(random_scalar(ENTROPY, scheme.key_group.order))
    beacons, previous = [], ENTROPY.bytes(scheme.signature_bytes) if scheme.chained else b""
    for number in range(1, count + 1):
        signature = scheme.bls.sign(secret, scheme.digest(number, previous))
        beacons.append(Beacon(Round(number), signature, previous))
        previous = signature if scheme.chained else b""
    return Case(name, ChainVerifier(scheme, scheme.key_group.encode(scheme.bls.public_key(secret))), beacons)


def timings(
    count: int = GOOD_BATCH, samples: int = 5, only: list[str] | None = None, *, every_backend: bool = False
) -> list[Timing]:
    """Each scheme; the two ways alternate within every sample."""
    found = []
    for name, scheme in schemes(every_backend, only):
        say(f"verify: {name}, {count} rounds")
        made = case(name, scheme, count)
        taken = [(_us(made.one_by_one), _us(made.batched)) for _ in range(samples)]
        found.append(
            Timing(
                name,
                not scheme.bls.keys_on_g1,
                statistics.median(single for single, _ in taken),
                statistics.median(batched for _, batched in taken),
                [single / batched for single, batched in taken],
            )
        )
    return found


def measure(
    count: int = GOOD_BATCH, samples: int = 5, only: list[str] | None = None, *, every_backend: bool = False
) -> list[Row]:
    """Three rows a scheme: one by one, batched, and how many times faster batched is."""
    rows = []
    for name, on_g1, single_us, batched_us, ratios in timings(count, samples, only, every_backend=every_backend):
        goal = Goal(least=GOAL_ON_G1 if on_g1 else GOAL_ON_G2)
        spread = (min(ratios), max(ratios))
        where = f"signatures on {'G1' if on_g1 else 'G2'}"
        rows += [
            Row(what=f"verify {name}, one by one", unit="us a beacon", ours=single_us, note="CPU of one core"),
            Row(what=f"verify {name}, batches of {count}", unit="us a beacon", ours=batched_us, note="CPU of one core"),
            Row(
                what=f"verify {name}, speed-up",
                unit="times",
                ours=statistics.median(ratios),
                goal=goal,
                spread=spread,
                note=where,
            ),
        ]
    return rows


def _us(work: Callable[[], int]) -> float:
    started = time.thread_time()
    done = work()
    return (time.thread_time() - started) / done * 1e6
