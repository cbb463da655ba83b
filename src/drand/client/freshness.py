"""Is a latest round the latest? And if no source has it: is it the chain, the sources, or our own clock?"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from statistics import median

from drand.client.beacon import VerifiedBeacon
from drand.client.chains import RETIRED_HASHES
from drand.client.errors import ChainRetired, ChainStale, ClientError, ClockSuspect, SourceBehind, SourceFault
from drand.model.chain import ChainInfo

TOLERATED_S = 10.0  # a clock this wrong, or an answer this late, is nobody's business


def require_possible(source: str, beacon: VerifiedBeacon, now: float) -> None:
    """Raise ClockSuspect for a verified beacon that our clock says is still to come.

    It proves that our clock is behind: the group signs no round before its time.
    """
    if beacon.due_unix_s > now + TOLERATED_S:
        behind_s = beacon.due_unix_s - now
        raise ClockSuspect(
            f"this machine's clock is at least {behind_s:.0f} s behind: {source} has round {beacon.round}, which the "
            f"group signs no earlier than {datetime.fromtimestamp(beacon.due_unix_s, UTC).isoformat()}",
            -behind_s,
        )


def require_fresh(chain: ChainInfo, source: str, beacon: VerifiedBeacon, now: float) -> None:
    """Raise SourceBehind for a latest round that is old, ClockSuspect for one that our clock says is still to come.

    One round too few is tolerated, as is TOLERATED_S more: caches hold a latest round for up to a period.
    """
    require_possible(source, beacon, now)
    if now >= _outdated_unix_s(chain, beacon):
        due = chain.schedule.current_round(now)
        age_s = now - beacon.due_unix_s
        raise SourceBehind(source, f"its latest round is {beacon.round}, {age_s:.0f} s old; {due} is due", beacon)


def require_no_older(source: str, beacon: VerifiedBeacon, held: VerifiedBeacon | None) -> None:
    """Raise SourceBehind for a latest round below that of `held`, the newest one that was given out."""
    if held is not None and beacon.round < held.round:
        raise SourceBehind(source, f"its latest round is {beacon.round}, round {held.round} is out", beacon)


def still_latest(
    chain: ChainInfo, failures: Mapping[str, SourceFault], held: VerifiedBeacon | None, now: float
) -> VerifiedBeacon | None:
    """`held`, where no source had a newer round, but some had an older one, and it is recent; else None."""
    behind = any(isinstance(error, SourceBehind) for error in failures.values())
    return held if behind and held is not None and now < _outdated_unix_s(chain, held) else None


def _outdated_unix_s(chain: ChainInfo, beacon: VerifiedBeacon) -> float:
    return beacon.due_unix_s + 2 * chain.period_s + TOLERATED_S


def explain_stale(
    chain: ChainInfo, failures: Mapping[str, SourceFault], clocks_ahead_s: Iterable[float], now: float
) -> ClientError | None:
    """What to say when no source had a fresh latest round, but some had an old one; None when none had.

    clocks_ahead_s  how far our clock is ahead of the clock of each source that tells the time
    returns         ClockSuspect when by the sources' clocks the freshest is fresh; else ChainRetired or ChainStale
    """
    behind = [error for error in failures.values() if isinstance(error, SourceBehind)]
    if not behind:
        return None
    freshest = max((error.beacon for error in behind), key=lambda beacon: beacon.round)
    told = list(clocks_ahead_s)
    ahead_s = median(told) if told else 0.0
    if ahead_s > TOLERATED_S and now - ahead_s < _outdated_unix_s(chain, freshest):
        return ClockSuspect(
            f"this machine's clock is {ahead_s:.0f} s ahead of that of {', '.join(error.source for error in behind)}; "
            f"by their clocks round {freshest.round} is the latest",
            ahead_s,
        )
    if freshest.chain_hash in RETIRED_HASHES:
        return ChainRetired("this chain was retired", failures, freshest)
    return ChainStale("no source has a recent round", failures, freshest)
