"""The beacons that were given out lately."""

from collections import OrderedDict

from drand.client.beacon import VerifiedBeacon


class Memory:
    """At most `most` verified beacons by round; the one unused for longest goes first. 0 keeps none.

    `newest` is the one of the highest round that was ever kept or noted, whatever `most` is.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[int, VerifiedBeacon] = OrderedDict()
        self.newest: VerifiedBeacon | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, round_: int) -> VerifiedBeacon | None:
        """The beacon of a round, if it is still here."""
        found = self._kept.get(round_)
        if found is not None:
            self._kept.move_to_end(round_)
        return found

    def keep(self, beacon: VerifiedBeacon) -> None:
        """Remember a beacon."""
        self.note(beacon)
        self._kept[beacon.round] = beacon
        self._kept.move_to_end(beacon.round)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def note(self, beacon: VerifiedBeacon) -> None:
        """Take a beacon for `newest`, if it is."""
        if self.newest is None or beacon.round > self.newest.round:
            self.newest = beacon
