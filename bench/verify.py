"""Verification of beacons, one by one and in batches, side by side in one run.

    python bench/verify.py [--count 1000] [--rounds 5] [--scheme NAME ...]

Both ways are timed in turn, on the same signatures, in CPU time of this thread; the medians are compared. So the ratio
means something on a busy machine, the microseconds less so.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from collective.entropy import SystemEntropy, random_scalar
from collective.groups.bls12381 import available_backends, bls12381
from collective.groups.group import PairingSuite, Point
from collective.secret import SecretScalar
from collective.signatures.batch import verify_batch
from collective.signatures.bls import BlsScheme

ENTROPY = SystemEntropy()
G1_TAG = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
G2_TAG = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
BN254_TAG = b"BLS_SIG_BN254G1_XMD:KECCAK-256_SVDW_RO_NUL_"
SINGLE_SAMPLE = 100  # as many are verified one by one; more would only take longer


class Row(NamedTuple):
    """One scheme on one backend; microseconds of CPU a signature, decoding and hashing included."""

    scheme: str
    single_us: float
    batched_us: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    scheme: BlsScheme
    public_key: Point
    items: list[tuple[bytes, bytes]]

    def one_by_one(self) -> int:
        """Verify the sample; how many that were."""
        for message, signature in self.items[:SINGLE_SAMPLE]:
            self.scheme.verify(self.public_key, message, signature)
        return len(self.items[:SINGLE_SAMPLE])

    def batched(self) -> int:
        """Verify all; how many that were."""
        if verify_batch(self.scheme, self.public_key, self.items, ENTROPY):
            raise AssertionError("a good batch was refused")
        return len(self.items)


def cases(count: int, only: list[str] | None = None) -> list[Case]:
    """Every kind of scheme on every backend installed here, with `count` fresh signatures each."""
    suites: list[tuple[str, PairingSuite, bool, bytes]] = []
    for backend in available_backends():
        suites.append((f"g1-rfc9380 ({backend})", bls12381(backend), False, G1_TAG))
        suites.append((f"chained, on g2 ({backend})", bls12381(backend), True, G2_TAG))
    try:
        from collective.groups.bn import bn254
    except ImportError:
        pass
    else:
        suites.append(("bn254-on-g1", bn254(), False, BN254_TAG))
    return [
        _case(name, BlsScheme(suite, keys_on_g1, tag), count)
        for name, suite, keys_on_g1, tag in suites
        if not only or any(part in name for part in only)
    ]


def _case(name: str, scheme: BlsScheme, count: int) -> Case:
    secret = SecretScalar(random_scalar(ENTROPY, scheme.key_group.order))
    messages = [ENTROPY.bytes(32) for _ in range(count)]
    return Case(name, scheme, scheme.public_key(secret), [(one, scheme.sign(secret, one)) for one in messages])


def measure(count: int = 1000, rounds: int = 5, only: list[str] | None = None) -> list[Row]:
    """(scheme, one-by-one us, batched us, ratio) for each case; the two ways alternate within every round."""
    rows = []
    for case in cases(count, only):
        samples = [(_us(case.one_by_one), _us(case.batched)) for _ in range(rounds)]
        single = statistics.median(sample[0] for sample in samples)
        batched = statistics.median(sample[1] for sample in samples)
        rows.append(Row(case.name, single, batched, statistics.median(one / many for one, many in samples)))
    return rows


def _us(work: Callable[[], int]) -> float:
    started = time.thread_time()
    done = work()
    return (time.thread_time() - started) / done * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="verification, one by one and batched")
    parser.add_argument("--count", type=int, default=1000, help="signatures in a batch")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each")
    parser.add_argument("--scheme", action="append", help="only schemes whose name contains this")
    chosen = parser.parse_args()
    print(f"{'scheme':<28}{'one by one':>14}{'batched':>12}{'ratio':>8}")
    for row in measure(chosen.count, chosen.rounds, chosen.scheme):
        print(f"{row.scheme:<28}{row.single_us:>11.0f} us{row.batched_us:>9.0f} us{row.ratio:>7.1f}x")


if __name__ == "__main__":
    main()
