"""What a client tells whoever wants to count: hooks for metrics and logs. The client itself logs nothing, but for its
archive (`drand.archive`) and its workers (`drand.verifying`).
"""

from drand.client.beacon import VerifiedBeacon
from drand.client.errors import ClientError, SourceFault
from drand.store.contract import StoreFailed


class Observer:
    """Called from the client's event loop; override what you need. A hook must be quick, and must not raise."""

    def asked(self, source: str) -> None:
        """A question was put to a source."""

    def answered(self, source: str, took_s: float) -> None:
        """A source gave an answer that verified."""

    def failed(self, source: str, error: SourceFault, took_s: float) -> None:
        """A source failed; `SourceLied` among the errors says that it is not honest."""

    def gave_up(self, error: ClientError) -> None:
        """A watch got no answer from anybody; it asks again in a moment."""

    def hit(self, beacon: VerifiedBeacon) -> None:
        """A beacon came from memory or from the archive; nobody was asked."""

    def archive_failed(self, error: StoreFailed) -> None:
        """The archive cannot be written, or not be read because of a lock. Beacons are given out all the same.

        They are written when it can be done again; only when very many wait is what comes then not kept. Told once for
        as long as the same thing is wrong.
        """
