"""What the client gives out: a beacon that was verified, and where it came from."""

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from drand.client.sampling import Sampler
from drand.model.chain import Beacon, Round

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who gave a beacon, and when."""

    source: str  # its name, as given to the client; "memory" and "archive" are the client's own
    received_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBeacon:
    """One round of a chain whose signature was verified under the chain's key.

    Equal when chain, round and signatures are: where it came from does not matter.
    `choice`, `sample`, `shuffle` and `randbelow` begin a new stream of docs/spec/sampling.md with each call, so the
    same call gives the same result again; give each decision a `purpose` of its own.
    """

    chain_hash: bytes
    round: Round
    signature: bytes
    previous_signature: bytes = b""  # empty in unchained schemes
    due_unix_s: int  # when the round was due
    provenance: Provenance = field(compare=False)

    def __repr__(self) -> str:
        """What a log line or a notebook needs of it."""
        chain, origin = self.chain_hash.hex()[:16], self.provenance.source
        return (
            f"<VerifiedBeacon round {self.round} of chain {chain}, randomness {self.randomness.hex()}, from {origin}>"
        )

    @property
    def randomness(self) -> bytes:
        """32 bytes: SHA-256 of the signature."""
        return self.plain.randomness

    @property
    def plain(self) -> Beacon:
        """The beacon without chain and origin."""
        return Beacon(self.round, self.signature, self.previous_signature)

    @property
    def time(self) -> datetime:
        """When the round was due, in UTC."""
        return datetime.fromtimestamp(self.due_unix_s, UTC)

    def sampler(self, purpose: str = "") -> Sampler:
        """A stream of choices: like random.Random, but anybody can repeat it."""
        return Sampler(self.randomness, purpose)

    def randbelow(self, bound: int, *, purpose: str = "") -> int:
        """A number from 0 to bound - 1."""
        return self.sampler(purpose).randbelow(bound)

    def choice(self, population: Sequence[T], *, purpose: str = "") -> T:
        """One of `population`."""
        return self.sampler(purpose).choice(population)

    def sample(self, population: Sequence[T], count: int, *, purpose: str = "") -> list[T]:
        """`count` different members of `population`, in the order drawn."""
        return self.sampler(purpose).sample(population, count)

    def shuffle(self, items: MutableSequence[T], *, purpose: str = "") -> None:
        """Put `items` into random order, in place."""
        self.sampler(purpose).shuffle(items)
