"""What can be wrong with an encrypted file, with who asks for it, or with when."""

from collective.errors import BadSetting, Malformed
from drand.errors import TooEarly


class StillLocked(TooEarly):
    """The round that opens the file has not come. Its time is in `opens_unix_s`."""

    hint = "`drand timelock wait` waits for it, `drand timelock decrypt --wait` opens the file then"

    def __init__(self, what: str, *, round_: int, opens_unix_s: int, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.round = round_
        self.opens_unix_s = opens_unix_s


class WrongChain(BadSetting):
    """The file is locked to rounds of another chain than the one it was to be opened with."""

    hint = "name the chain that the file asks for with --chain; `drand timelock inspect` shows its hash"

    def __init__(self, what: str, *, wanted: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.wanted = wanted  # chain hashes in hex, as the file names them


class NoIdentityMatched(BadSetting):
    """None of the identities given opens the file."""

    hint = "`drand timelock inspect` shows what the file is encrypted to"


class UnsuitableChain(BadSetting):
    """A chain whose rounds nothing can be encrypted to."""

    hint = "choose an unchained chain that goes on, such as quicknet"


class NotAnAgeFile(Malformed):
    """Something else than an age file of version 1, armored or not."""

    hint = "check that this is the encrypted file, and that it was copied as binary"


class DamagedHeader(Malformed):
    """The header does not follow the format, or a stanza in it does not: the file was altered or cut short."""

    hint = "get the file again from where it came; nothing of it can be trusted"


class ForgedHeader(DamagedHeader):
    """The header's own authentication fails: a stanza was added, removed or changed after encryption."""


class DamagedArmor(Malformed):
    """The text armor around the file does not follow the strict format."""

    hint = "copy it whole, from the BEGIN line to the END line, without changing its lines"


NOTHING_WRITTEN = "get the file again from where it came; nothing of its content was written"


class DamagedPayload(Malformed):
    """The encrypted content was altered, reordered or cut short.

    What was written before this error is authentic and is the beginning of the content, no more: a reader of a
    stream must not take it for the whole. Where the output is a file, the command line keeps none of it.
    """

    hint = "get the file again from where it came; the part that was already given out is authentic, but not all"


class MalformedKey(Malformed):
    """Text that is no age recipient or no age identity."""

    hint = "a recipient begins with age1, an identity with AGE-SECRET-KEY-1; copy the whole word"
