"""The secret of a ceremony drawn from readers the operator names (`--source`, `--user-source-only`).

Reproduces Go's choice bit for bit, so that an operator who fixes every reader gets the same secret from either program.
Nothing here reads the operating system: the readers are handed in.
Source: kyber v1.2.0, util/random/rand.go, and drand v1.5.11, which gives them to the constant coefficient only.
"""

import hashlib
from collections.abc import Callable, Sequence

from collective.blake2x import blake2xb
from collective.errors import BadSetting, Unavailable
from collective.secret import SecretScalar

Reader = Callable[[int], bytes]
"""Asked for a number of bytes, answers with that many; fewer, or Unavailable or OSError raised, means it failed."""

READ_BYTES = 32
MAX_ATTEMPTS = 128  # one attempt in two succeeds; a reader stuck on one refused value would be asked for ever


class NoEntropy(Unavailable):
    """No reader gave what it was asked for."""

    hint = "check the script given to --source: it must print random bytes without end"


def pick_scalar(readers: Sequence[Reader], order: int) -> SecretScalar:
    """A secret between 1 and order - 1 from all `readers` together; it is secret as long as one of them is.

    Every attempt reads 32 bytes from each reader, hashes their concatenation with SHA-256, and takes from the BLAKE2Xb
    stream under that key as many bytes as the order has, with the bits above its length cleared. A value of 0 or not
    below the order is refused and everything is read again. A reader that falls short contributes what it gave.

    raises  BadSetting without readers; NoEntropy when all fail in one attempt, or no attempt of MAX_ATTEMPTS succeeds
    """
    if not readers:
        raise BadSetting("a secret needs at least one source of randomness")
    for _ in range(MAX_ATTEMPTS):
        seed = hashlib.sha256(_read_all(readers)).digest()
        value = _low_bits(blake2xb(seed, (order.bit_length() + 7) // 8), order.bit_length())
        if 0 < value < order:
            return SecretScalar(value)
    raise NoEntropy(f"the sources gave no usable scalar in {MAX_ATTEMPTS} attempts")


def _read_all(readers: Sequence[Reader]) -> bytes:
    parts = []
    failures = []
    for reader in readers:
        try:
            part = reader(READ_BYTES)[:READ_BYTES]
        except (Unavailable, OSError) as error:
            part = b""
            failures.append(str(error))
        else:
            if len(part) < READ_BYTES:
                failures.append(f"only {len(part)} of {READ_BYTES} bytes")
        parts.append(part)
    if len(failures) == len(readers):
        raise NoEntropy(f"error picking secret: {'; '.join(failures)}")
    return b"".join(parts)


def _low_bits(data: bytes, count: int) -> int:
    return int.from_bytes(data, "big") & ((1 << count) - 1)
