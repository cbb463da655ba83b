"""Past rounds from a disk, verified before anybody is given one: a node's store, or an archive that others write to.

A row that does not verify counts as absent, is named once in the log, and counted with the lies of upstreams. What
passed is remembered by its digest, so a round costs one verification for as long as that is kept.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol

from collective.clock import Clock
from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.verification import ChainVerifier
from drand.net.http_chain import remember
from drand.net.log_budget import LogBudget
from drand.verifying.verifiers import MAX_BEACONS, Verifiers, workers_by_default

JUDGED_ROUNDS = 8192  # verdicts remembered of a chain, of each kind, about 0.2 kB each: eight pages
HEAD_LOOKS = 100  # rows looked at for the highest one that verifies
SINGLES = 100  # rows behind a gap that are looked up one by one for a range
WORTH_BEACONS = 500  # fewer are verified in a thread of this process, more in a process of their own

log = logging.getLogger("drand.relay.verified")
log.addFilter(LogBudget())  # a stranger chooses which rows are read

Lied = Callable[[str], None]


class Shelf(Protocol):
    """Where past rounds are read: a node's store, an archive; whoever keeps beacons can be one. Nothing is believed."""

    def last(self, below: Round | None = None) -> Beacon | None:
        """The beacon of the highest round (that is below `below`); None when there is none."""
        ...

    def get(self, round_: Round) -> Beacon | None:
        """One beacon; None when it is not there."""
        ...

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        """The consecutive rounds from `first` on, at most `limit`."""
        ...


def page_verifiers() -> Verifiers:
    """What verifies long ranges for all chains of a process, without stopping its loop."""
    return Verifiers(min(1, workers_by_default()), worth=WORTH_BEACONS)


class Verdicts:
    """What was found about the rows of one source, each for as long as JUDGED_ROUNDS others are not judged after it.

    source   what the log and the metric call it
    lied     hears of each row that does not verify, once
    """

    def __init__(self, info: ChainInfo, source: str, lied: Lied) -> None:
        self.verifier = ChainVerifier(info.scheme, info.public_key)
        self._genesis = info.genesis_seed
        self._chain = info.hash().hex()[:16]
        self._source = source
        self._lied = lied
        self._good: dict[Round, bytes] = {}
        self._bad: dict[Round, bytes] = {}

    def known(self, beacon: Beacon) -> bool | None:
        """Whether these bytes passed; None: they were not judged, or that is forgotten."""
        good, bad = self._good.get(beacon.round), self._bad.get(beacon.round)
        if good is None and bad is None:
            return None
        digest = _digest(beacon)
        return True if digest == good else False if digest == bad else None

    def passed(self, round_: Round) -> bool:
        """Whether some row of this round has passed: it is worth reading."""
        return round_ in self._good

    def passes(self, beacon: Beacon) -> bool:
        """Whether it verifies; costs a verification, unless that is known."""
        known = self.known(beacon)
        if known is not None:
            return known
        why = ""
        try:
            if beacon.round or beacon.signature != self._genesis:  # round 0 is the seed that the chain hash covers
                self.verifier.check(beacon)
        except InvalidBeacon as error:
            why = str(error)
        self.note(beacon, why)
        return not why

    def note(self, beacon: Beacon, why: str) -> None:
        """Remember that a beacon passed (`why` is empty), or why not."""
        kept = self._bad if why else self._good
        kept.pop(beacon.round, None)
        remember(kept, beacon.round, _digest(beacon), JUDGED_ROUNDS)
        if why:
            log.error("LIE: %s, chain %s: it is not served: %s", self._source, self._chain, why)
            self._lied(self._source)


class VerifyingShelf:
    """A shelf whose rows are verified. All but `verify` answer at once.

    verifiers   for ranges; who made them closes them
    raises      what the shelf raises (StoreFailed)
    """

    def __init__(self, shelf: Shelf, info: ChainInfo, verdicts: Verdicts, verifiers: Verifiers, clock: Clock) -> None:
        self.verdicts = verdicts
        self._shelf = shelf
        self._schedule = info.schedule
        self._verifiers = verifiers
        self._clock = clock
        self._judging: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # who asks for the same range waits, and finds it verified

    def last(self) -> Beacon | None:
        """The highest round that is due and verifies, among the HEAD_LOOKS highest."""
        below = Round(self._schedule.current_round(self._clock.now()) + 1)
        for _ in range(HEAD_LOOKS):
            found = self._shelf.last(below)
            if found is None or self.verdicts.passes(found):
                return found
            below = found.round
        return None

    def get(self, round_: Round) -> Beacon | None:
        """One round that verifies; costs a verification, unless that is known."""
        found = self._shelf.get(round_)
        return found if found is not None and self.verdicts.passes(found) else None

    def passed(self, first: Round, limit: int) -> dict[Round, Beacon]:
        """Of the rounds from `first` on those that are known to verify; none where `first` is not known to."""
        if not self.verdicts.passed(first):
            return {}
        return {one.round: one for one in self._shelf.range(first, limit) if self.verdicts.known(one)}

    async def verify(self, first: Round, limit: int) -> None:
        """Judge the rounds from `first` on, at most `limit` (and MAX_BEACONS), as far as they are here."""
        judging = asyncio.ensure_future(self._judge(first, min(limit, MAX_BEACONS)))
        self._judging.add(judging)
        judging.add_done_callback(self._judged)
        await asyncio.shield(judging)  # whoever asks may leave: what was begun is known to the next one

    def _judged(self, judging: "asyncio.Task[None]") -> None:
        self._judging.discard(judging)
        if not judging.cancelled():
            judging.exception()  # the asker has it, or has left

    async def _judge(self, first: Round, limit: int) -> None:
        async with self._turn:
            rows = [one for one in self._rows(first, limit) if self.verdicts.known(one) is None]
            if not rows:
                return
            bad = await asyncio.wrap_future(self._verifiers.submit(self.verdicts.verifier, rows))
            for one in rows:
                self.verdicts.note(one, "the signature does not verify" * (one.round in bad))

    def _rows(self, first: Round, limit: int) -> list[Beacon]:
        found = list(self._shelf.range(first, limit))
        behind = range(first + len(found), first + min(limit, len(found) + SINGLES))
        return found + [one for round_ in behind if (one := self._shelf.get(Round(round_))) is not None]


def _digest(beacon: Beacon) -> bytes:
    return sha256(len(beacon.signature).to_bytes(8, "big") + beacon.signature + beacon.previous_signature).digest()
