"""Throws changed files at the readers of the age format: no crash, no wrong plaintext, no content that was not there.

    python -m fuzz.fuzz_age                    200,000 inputs
    python -m fuzz.fuzz_age --inputs 5000 --seed 7

Each input is a good file after one to four changes (bits, bytes, lines, pieces moved or repeated, a cut, text from
a list of words that mean something to a parser). It may end in an error that this project raises on purpose, after a
true beginning of the content; it may open only when the change lies in the white space around an armor. Anything
else stops the run with the seed and the number of the input, which make it again.
"""

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass
from io import BytesIO

from collective.clock import monotonic_s
from collective.errors import CollectiveError
from drand.model.chain import Beacon, Round
from drand.timelock import (
    Identity,
    TlockIdentity,
    TlockRecipient,
    X25519Identity,
    decrypt_stream,
    encrypt_bytes,
    inspect,
)
from drand.timelock.header import Stanza
from drand.timelock.payload import CHUNK_BYTES, SEALED_CHUNK_BYTES
from tests.support.entropy import SeededEntropy
from tests.support.locked_chain import LockedChain

INPUTS = 200_000
WORDS = [
    b"-> ",
    b"--- ",
    b"\n",
    b"\r\n",
    b" ",
    b"=",
    b"X25519",
    b"tlock",
    b"scrypt",
    b"age-encryption.org/v1\n",
    b"-----BEGIN AGE ENCRYPTED FILE-----\n",
    b"-----END AGE ENCRYPTED FILE-----\n",
    b"\0",
    b"\xff",
    b"A" * 64,
    b"18446744073709551616",
    b"0",
    b"-1",
    bytes(32),
    b"-> grease\n\n",
]


class FoundAProblem(Exception):
    """An input that does what no input may do."""


class RememberedChain:
    """A chain whose round is signed once, and whose stanzas that were opened before need no second pairing."""

    def __init__(self) -> None:
        self.chain = LockedChain()
        self._beacon = self.chain.beacon(5)

    def get(self, _round: Round) -> Beacon:
        """The round."""
        return self._beacon


class RememberingIdentity:
    """Answers as a TlockIdentity does, from memory where the same stanzas were seen before."""

    def __init__(self, chain: RememberedChain) -> None:
        self._real = TlockIdentity(chain.chain.info, chain)
        self._answers: dict[tuple[Stanza, ...], bytes | CollectiveError | None] = {}

    def unwrap(self, stanzas: tuple[Stanza, ...]) -> bytes | None:
        """As `TlockIdentity.unwrap`."""
        if stanzas not in self._answers:
            if len(self._answers) > 1000:
                self._answers.clear()
            try:
                self._answers[stanzas] = self._real.unwrap(stanzas)
            except CollectiveError as error:
                self._answers[stanzas] = error
        answer = self._answers[stanzas]
        if isinstance(answer, CollectiveError):
            raise answer
        return answer


@dataclass(frozen=True)
class Good:
    """A file to be changed."""

    data: bytes
    content: bytes
    identity: Identity
    armored: bool


def good_files() -> list[Good]:
    """Files of several sizes, forms and recipients, the small ones more often."""
    key, chain = X25519Identity(bytes(range(32))), RememberedChain()
    remembering, lock = RememberingIdentity(chain), TlockRecipient(chain.chain.info, 5)
    files = []
    for size in (0, 1, 300, CHUNK_BYTES, CHUNK_BYTES + 300):
        text = bytes(place * 7 % 251 for place in range(size))
        for armored in (False, True):
            for recipients, identity in (([key.recipient], key), ([lock], remembering), ([lock, key.recipient], key)):
                data = encrypt_bytes(text, recipients, armor=armored, entropy=SeededEntropy(size))
                files += [Good(data, text, identity, armored)] * (6 if size < 1000 else 1)
    return files


def changed(data: bytes, chance: random.Random) -> bytes:
    """One change; nine times of ten near the start, where the parsers are."""
    reach = len(data) if chance.random() < 0.3 else min(len(data), 600)
    at = chance.randrange(reach + 1)
    end = min(len(data), at + chance.choice((1, 1, 2, 8, 64, 200, SEALED_CHUNK_BYTES)))
    match chance.randrange(8):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :] if at < len(data) else data
        case 1:
            return data[:at] + data[end:]
        case 2:
            return data[:at] + chance.choice(WORDS) + data[at:]
        case 3:
            return data[:at] + chance.choice(WORDS) + data[end:]
        case 4:
            return data[:at] + data[at:end] + data[at:]
        case 5:
            other = chance.randrange(reach + 1)
            return data[:other] + data[at:end] + data[other:]
        case 6:
            return data[:at]
        case _:
            return data[:at] + chance.randbytes(chance.choice((1, 3, 32))) + data[end:]


def judge(good: Good, data: bytes) -> str:
    """How one input ended; raises FoundAProblem."""
    out = BytesIO()
    try:
        inspect(BytesIO(data))
        decrypt_stream(BytesIO(data), out, [good.identity])
    except CollectiveError as error:
        if not good.content.startswith(out.getvalue()):
            raise FoundAProblem(f"other content was given out before {error!r}") from error
        return type(error).__name__
    if out.getvalue() != good.content:
        raise FoundAProblem("other content was given out as the whole")
    if data != good.data and not (good.armored and data.split() == good.data.split()):
        raise FoundAProblem("a changed file was opened")
    return "opened"


def fuzz(inputs: int, seed: int = 1) -> Counter[str]:
    """Try `inputs` files; how they ended, counted. Raises FoundAProblem, or whatever a parser should not have."""
    files, ends = good_files(), Counter[str]()
    for number in range(inputs):
        chance = random.Random(f"{seed}/{number}")  # noqa: S311  # an input can be made again
        good = chance.choice(files)
        data = good.data
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            data = changed(data, chance)
        try:
            ends[judge(good, data)] += 1
        except Exception as error:
            raise FoundAProblem(f"seed {seed}, input {number}: {type(error).__name__}: {error}") from error
    return ends


def main(arguments: list[str]) -> int:
    """Run, and print how the inputs ended."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of the age format.")
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    began = monotonic_s()
    ends = fuzz(chosen.inputs, chosen.seed)
    print(f"{chosen.inputs} inputs in {monotonic_s() - began:.0f} s, seed {chosen.seed}: no crash, no wrong plaintext")
    for name, count in ends.most_common():
        print(f"  {count:>8}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
