"""BLAKE2Xb, the extendable-output form of BLAKE2b, of which Go's kyber makes its random streams.

hashlib computes the root; the output blocks need a tree depth of 0, which it refuses, so they are computed here.
Source: Aumasson, Neves, Wilcox-O'Hearn, Winnerlein, "BLAKE2X" (2016); RFC 7693 for the compression function.
"""

import hashlib
import struct

UNKNOWN_LENGTH = 2**32 - 1
BLOCK_BYTES = 64
_MASK = 2**64 - 1
_IV = (
    0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
    0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
)  # fmt: skip
_SIGMA = tuple(
    tuple(int(digit, 16) for digit in row)
    for row in (
        "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
        "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
    )
)  # fmt: skip
_COLUMNS_THEN_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
_ROUNDS = 12


def blake2xb(key: bytes, count: int) -> bytes:
    """The first `count` bytes of BLAKE2Xb of the empty message under `key`, with an output of undeclared length.

    key     0 to 64 bytes
    count   at most 2**32 blocks of 64 bytes exist; callers here ask for a few dozen bytes
    """
    # The root is plain BLAKE2b whose parameter block also holds the length of the output, in bytes 12 to 15.
    root = hashlib.blake2b(key=key, digest_size=BLOCK_BYTES, node_offset=UNKNOWN_LENGTH << 32).digest()
    blocks = (count + BLOCK_BYTES - 1) // BLOCK_BYTES
    return b"".join(_output_block(root, number) for number in range(blocks))[:count]


def _output_block(root: bytes, number: int) -> bytes:
    """B2(number, 64, root): fanout 0, depth 0, leaf length and inner length 64."""
    parameters = struct.pack("<BBBBIIIBB46x", BLOCK_BYTES, 0, 0, 0, BLOCK_BYTES, number, UNKNOWN_LENGTH, 0, BLOCK_BYTES)
    state = [constant ^ word for constant, word in zip(_IV, struct.unpack("<8Q", parameters), strict=True)]
    return struct.pack("<8Q", *_compress_last(state, struct.unpack("<16Q", root.ljust(128, b"\0")), len(root)))


def _compress_last(state: list[int], words: tuple[int, ...], length: int) -> list[int]:
    """RFC 7693, section 3.2: function F on the only, hence last, block of a message of `length` bytes."""
    v = [*state, *_IV]
    v[12] ^= length
    v[14] ^= _MASK
    for round_ in range(_ROUNDS):
        order = _SIGMA[round_ % len(_SIGMA)]
        for step, (a, b, c, d) in enumerate(_COLUMNS_THEN_DIAGONALS):
            _mix(v, a, b, c, d, words[order[2 * step]], words[order[2 * step + 1]])
    return [word ^ v[place] ^ v[place + 8] for place, word in enumerate(state)]


def _mix(v: list[int], a: int, b: int, c: int, d: int, x: int, y: int) -> None:
    """RFC 7693, section 3.1: function G."""
    v[a] = (v[a] + v[b] + x) & _MASK
    v[d] = _rotate_right(v[d] ^ v[a], 32)
    v[c] = (v[c] + v[d]) & _MASK
    v[b] = _rotate_right(v[b] ^ v[c], 24)
    v[a] = (v[a] + v[b] + y) & _MASK
    v[d] = _rotate_right(v[d] ^ v[a], 16)
    v[c] = (v[c] + v[d]) & _MASK
    v[b] = _rotate_right(v[b] ^ v[c], 63)


def _rotate_right(word: int, count: int) -> int:
    return (word >> count | word << (64 - count)) & _MASK
