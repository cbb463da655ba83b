"""Our own partial of one round at a time: asked of the vault once, kept so that it can be sent again."""

from drand.model.chain import Round
from drand.model.packets import PartialPacket
from drand.model.vault_messages import PartialSigned, SignPartial, VaultRefused
from drand.protocol.steps import Ids


class OwnPartials:
    """Knows what was asked of the vault and what it said. At most one request is open, for the round wanted last."""

    def __init__(self, epoch_id: bytes, ids: Ids) -> None:
        self._epoch_id = epoch_id
        self._ids = ids
        self._open: SignPartial | None = None
        self._kept: PartialPacket | None = None
        self._never: tuple[Round, bytes] | None = None  # what the vault will not sign, however often it is asked

    def want(self, round_: Round, previous_signature: bytes) -> PartialPacket | SignPartial | None:
        """The partial if it is kept, else the request to put to the vault; None when the vault has refused for good.

        A request that is still open is answered with itself, under the same id: its answer may have been lost, and the
        vault gives the same answer to the same id.
        """
        wanted = (round_, previous_signature)
        if self._kept is not None and (self._kept.round, self._kept.previous_signature) == wanted:
            return self._kept
        if self._never == wanted:
            return None
        if self._open is None or (self._open.round, self._open.previous_signature) != wanted:
            self._open = SignPartial(self._ids.request("partial"), self._epoch_id, round_, previous_signature)
        return self._open

    def on_signed(self, reply: PartialSigned) -> PartialPacket | None:
        """The partial that the open request asked for; None for the answer to anything else."""
        asked = self._open
        if asked is None or asked.request_id != reply.request_id:
            return None
        if (reply.round, reply.previous_signature) != (asked.round, asked.previous_signature):
            return None
        return PartialPacket(reply.round, reply.previous_signature, reply.partial)

    def keep(self, packet: PartialPacket) -> None:
        """The partial has been found fit to send; the request is closed."""
        self._kept = packet
        self._open = None

    def discard(self) -> None:
        """The partial was found to be bad: it is not sent again."""
        self._kept = None

    def on_refused(self, reply: VaultRefused) -> Round | None:
        """The round that the vault refused; None when that was not the open request, which otherwise is closed."""
        asked = self._open
        if asked is None or asked.request_id != reply.request_id:
            return None
        self._open = None
        if not reply.retry:
            self._never = (asked.round, asked.previous_signature)
        return asked.round
