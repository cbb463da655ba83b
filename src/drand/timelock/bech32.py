"""Bech32 as age uses it: without a limit on length, and with the checksum constant of BIP 173.

Source: BIP 173; C2SP age.md, "Conventions".
"""

from drand.timelock.errors import MalformedKey

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {letter: value for value, letter in enumerate(_LETTERS)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
CHECKSUM_LETTERS = 6


def encode(prefix: str, data: bytes) -> str:
    """`data` under a lower-case `prefix`, in lower case.

    >>> encode("age", bytes(2))
    'age1qqqqlpnwam'
    """
    values = _regroup(data, 8, 5, pad=True)
    checksum = _polymod(_expanded(prefix) + values + [0] * CHECKSUM_LETTERS) ^ 1
    tail = [checksum >> 5 * (CHECKSUM_LETTERS - 1 - place) & 31 for place in range(CHECKSUM_LETTERS)]
    return prefix + "1" + "".join(_LETTERS[value] for value in values + tail)


def decode(text: str, prefix: str) -> bytes:
    """The bytes of `text`, all in one case, whose lower-case prefix must be `prefix`; raises MalformedKey.

    The text itself is never part of the error: it may be a secret.
    """
    lower = text.lower()
    if text not in (lower, text.upper()):
        raise MalformedKey("a key is written all in upper case or all in lower case")
    found, one, letters = lower.rpartition("1")
    if not one or found != prefix:
        raise MalformedKey(f"the key does not begin with {prefix}1")
    if len(letters) < CHECKSUM_LETTERS or not all(letter in _VALUES for letter in letters):
        raise MalformedKey("the key has a letter that Bech32 does not have, or was cut short")
    values = [_VALUES[letter] for letter in letters]
    if _polymod(_expanded(prefix) + values) != 1:
        raise MalformedKey("the key's checksum is wrong: a letter was mistyped or left out")
    return bytes(_regroup(values[:-CHECKSUM_LETTERS], 5, 8, pad=False))


def _expanded(prefix: str) -> list[int]:
    codes = [ord(letter) for letter in prefix]
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place, word in enumerate(_GENERATOR):
            checksum ^= word if top >> place & 1 else 0
    return checksum


def _regroup(values: bytes | list[int], width: int, to_width: int, *, pad: bool) -> list[int]:
    """The same bits in groups of another width; without `pad`, what is left over must be fewer than `width` zeros."""
    bits, held, groups = 0, 0, []
    for value in values:
        held, bits = held << width | value, bits + width
        while bits >= to_width:
            bits -= to_width
            groups.append(held >> bits & (1 << to_width) - 1)
        held &= (1 << bits) - 1
    if pad and bits:
        groups.append(held << to_width - bits & (1 << to_width) - 1)
    elif not pad and (bits >= width or held):
        raise MalformedKey("the key ends in bits that should be zero")
    return groups
