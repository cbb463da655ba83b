"""What can be wrong with a bundle of a key generation, and why a key generation can fail."""

from typing import ClassVar

from collective.errors import Malformed, NotEnoughShares, OutOfTurn, PeerFault


class UnknownAuthor(Malformed):
    """A bundle whose author is no dealer, or no holder, of this session."""

    hint: ClassVar[str] = "the sender holds another group file, or is no member"


class WrongSession(OutOfTurn):
    """A bundle of another session. Anybody can replay an old one, so it says nothing about its author.

    v1.5.11 evicts the author, and so lets whoever kept the packets of an old ceremony evict honest nodes from every
    later one. Here the bundle is refused at the door. An author that never sends one for this session counts as silent,
    and the silent are left out as well.
    """


class EquivocatingAuthor(PeerFault):
    """Two different bundles of one type for one session, both signed by `culprit`."""


class EquivocatingDealer(EquivocatingAuthor):
    """Two different deal bundles, or two justification bundles, of one dealer."""


class EquivocatingHolder(EquivocatingAuthor):
    """Two different response bundles of one holder."""


class NotEnoughDealers(NotEnoughShares):
    """Too few dealers are valid in the end: the secret would not be shared as widely as agreed."""

    hint: ClassVar[str] = "see to the nodes that were left out, then run the ceremony again"


class NotEnoughNodes(NotEnoughShares):
    """Too few nodes qualified: the group could never sign."""

    hint: ClassVar[str] = "see to the nodes that were left out, then run the ceremony again"


class OurselvesEvicted(OutOfTurn):
    """The others leave us out: what we sent did not reach them, or came too late."""

    hint: ClassVar[str] = "check that the other nodes can reach this one at the address in its identity"
