"""The append rule, the same for every store: no gap, no second value for a round."""

from collections.abc import Callable, Iterable

from drand.model.chain import Beacon, Round
from drand.store.contract import OutOfOrder


def new_beacons(
    beacons: Iterable[Beacon], *, last: Beacon | None, stored: Callable[[Round], Beacon | None], chained: bool
) -> list[Beacon]:
    """Those of `beacons` that are not stored yet, checked to follow `last` and each other.

    stored   looks a beacon up that is at or below `last`
    raises   OutOfOrder on a gap, on a round stored with another signature, and in a chained scheme on a beacon whose
             previous signature is not the one stored before it. An unchained scheme signs no previous signature, so
             there whatever a beacon carries is neither compared nor kept.
    """
    fresh: dict[Round, Beacon] = {}
    for beacon in beacons:
        if last is not None and beacon.round <= last.round:
            _same(beacon, fresh.get(beacon.round) or stored(beacon.round), chained)
            continue
        _follows(beacon, last, chained)
        fresh[beacon.round] = last = beacon
    return list(fresh.values())


def _same(beacon: Beacon, known: Beacon | None, chained: bool) -> None:
    if known is None or known.signature != beacon.signature:
        raise OutOfOrder(f"round {beacon.round} is stored with another signature")
    if chained and known.previous_signature != beacon.previous_signature:
        raise OutOfOrder(f"round {beacon.round} is stored with another previous signature")


def _follows(beacon: Beacon, last: Beacon | None, chained: bool) -> None:
    expected = 0 if last is None else last.round + 1
    if beacon.round != expected:
        raise OutOfOrder(f"round {beacon.round} does not follow: the next one to store is {expected}")
    if chained and beacon.previous_signature != (b"" if last is None else last.signature):
        raise OutOfOrder(f"round {beacon.round} does not chain to the stored round before it")
