"""The errors of the family: who is at fault, what it proves, and what to try next.

Every error that this project raises on purpose descends from `CollectiveError`. The branch says who is at fault:

    CollectiveError
      Malformed          bytes or text that do not decode; nobody is proved guilty, the sender is only suspected
      OutOfTurn          a request the protocol does not allow now; nobody is at fault
      PeerFault          a message broke the protocol, and its signature ties it to `culprit`
      InvalidSignature   a signature that does not verify under the key it claims
      Unavailable        something we need (a peer, a disk, a vault) does not answer now; trying again may work
      BadSetting         a setting or an argument that cannot work
"""

from typing import Any, ClassVar


class CollectiveError(Exception):
    """Raised on purpose by this project. `hint` is the next thing an operator can try."""

    hint: ClassVar[str] = ""

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.advice = type(self).hint if hint is None else hint

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy: as it is, whatever arguments its class is made with. Processes hand errors over."""
        return _as_it_was, (type(self), self.args), self.__dict__


def _as_it_was(kind: type[CollectiveError], args: tuple[object, ...]) -> CollectiveError:
    """An error of `kind` without its `__init__`; whoever unpickles it sets what it knows."""
    return kind.__new__(kind, *args)


class Malformed(CollectiveError):
    """Bytes or text that do not decode. The sender is suspected; nothing is proved."""


class MalformedPoint(Malformed):
    """An encoding that is no element of the group it claims: length, range, curve, subgroup, identity."""


class MalformedScalar(Malformed):
    """An encoding that is no scalar: wrong length, or not below the group order."""


class OutOfTurn(CollectiveError):
    """We were asked for something the protocol does not allow now. Nobody is at fault."""


class PeerFault(CollectiveError):
    """A message broke the protocol, and its signature ties it to `culprit`."""

    def __init__(self, what: str, *, culprit: int, hint: str | None = None) -> None:
        super().__init__(f"node {culprit}: {what}", hint=hint)
        self.culprit = culprit


class InvalidSignature(CollectiveError):
    """A signature that does not verify under the key it claims."""


class NotEnoughShares(CollectiveError):
    """Fewer valid shares, partials or dealers than the threshold asks for."""


class Unavailable(CollectiveError):
    """Something we need does not answer now; trying again may work."""


class BadSetting(CollectiveError):
    """A setting or an argument that cannot work."""
