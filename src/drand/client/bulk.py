"""Many consecutive rounds: from the archive where it has them, else from the sources, verified in batches.

Batches are verified ahead of whoever takes them, as many at the same time as there are verifiers, and are given out in
order. At most `Verifiers.width` + 2 of them are in memory: nothing more is asked for before one is taken.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from collective.clock import Clock, monotonic_s
from drand.client.beacon import VerifiedBeacon
from drand.client.contract import MAX_BATCH
from drand.client.errors import ClientClosed, MalformedAnswer, RoundMissing, SourceFault, SourceTimeout, WrongRound
from drand.client.judge import Judge
from drand.client.racing import Runner
from drand.model.chain import Beacon, Round
from drand.store.archive import ArchiveLocked
from drand.store.archivist import Archivist
from drand.store.contract import StoreFailed
from drand.verifying.verifiers import Verifiers, VerifiersClosed

Batch = list[VerifiedBeacon]
Incoming = AsyncGenerator[list[Beacon], None]

PATIENCE_PER_ROUND_S = 0.25  # beyond the deadline of a question: slower than this a source is left for the next one


@dataclass(slots=True)
class _Stretch:
    """What one source gives, on its way: batches that are being verified, and the next one, which is being fetched."""

    source: str
    incoming: Incoming
    at: int  # the next round to come
    before: Beacon | None  # the one that it builds on, itself perhaps not verified yet
    coming: "asyncio.Future[list[Beacon] | None] | None" = None
    under_way: "deque[tuple[list[Beacon], asyncio.Future[frozenset[Round]]]]" = field(default_factory=deque)
    fault: SourceFault | None = None  # what ended it; raised once all before it is given out

    def fetch(self) -> None:
        """Ask for the next batch."""
        self.coming = asyncio.ensure_future(anext(self.incoming, None))

    async def stop(self) -> None:
        """Drop what is under way."""
        left = [future for _, future in self.under_way] + ([self.coming] if self.coming is not None else [])
        for future in left:
            future.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.incoming.aclose()


class Bulk:
    """One range of rounds, in batches. In a chained scheme each batch is linked to the one before."""

    def __init__(
        self, runner: Runner, judge: Judge, clock: Clock, archive: Archivist | None, verifiers: Verifiers
    ) -> None:
        self._runner = runner
        self._judge = judge
        self._clock = clock
        self._archive = archive
        self._verifiers = verifiers
        self._at = 1  # the next round to give out
        self._wanted = 0  # rounds in all
        self._before: Beacon | None = None  # the round given out last
        self._ask_archive = archive is not None

    async def batches(
        self, first: Round, last: Round, before: VerifiedBeacon | None = None
    ) -> AsyncGenerator[Batch, None]:
        """All rounds from `first` to `last`, ascending; `before` is the verified beacon that the first one builds on.

        raises  as `drand.client.racing.Runner.verdict` says, when no source goes on from some round; StoreFailed
        """
        self._at, self._wanted = first, last - first + 1
        self._before = None if before is None else before.plain
        while self._at <= last:
            self._runner.require_open()
            async with aclosing(self._archived(last)) as batches:
                async for batch in batches:
                    yield batch
            async with aclosing(self._fetched(self._gap_end(last))) as batches:
                async for batch in batches:
                    yield batch

    async def _archived(self, last: Round) -> AsyncGenerator[Batch, None]:
        """What the archive has from here on; a stretch that does not verify counts as not there."""
        if self._archive is None or not self._ask_archive:
            return
        try:
            async with aclosing(self._verified("archive", self._rows(self._archive, last))) as batches:
                async for batch in batches:
                    yield batch
        except SourceFault as error:
            self._runner.observer.failed("archive", error, 0.0)
            self._ask_archive = False  # fetched anew, which mends the rows
        except ArchiveLocked as error:
            self._runner.observer.archive_failed(error)
            self._ask_archive = False

    async def _rows(self, archive: Archivist, last: Round) -> Incoming:
        at = self._at
        while at <= last and (found := archive.run(self._judge.chain_hash, Round(at), min(MAX_BATCH, last - at + 1))):
            yield found
            self._runner.require_open()
            at = found[-1].round + 1

    def _gap_end(self, last: Round) -> Round:
        if self._archive is None or not self._ask_archive:
            return last
        try:
            stored = self._archive.next_stored(self._judge.chain_hash, Round(self._at))
        except ArchiveLocked as error:
            self._runner.observer.archive_failed(error)
            return last
        return last if stored is None else Round(min(last, stored - 1))

    async def _fetched(self, last: Round) -> AsyncGenerator[Batch, None]:
        """From one source after the other, each going on where the one before failed."""
        while self._at <= last:
            began_at, failures = self._at, dict[str, SourceFault]()
            for name in self._runner.pool.order(monotonic_s()):
                since_s = monotonic_s()
                try:
                    async with aclosing(self._from(name, last)) as batches:
                        async for batch in batches:
                            await self._keep(batch)
                            yield batch
                    break
                except SourceFault as error:
                    failures[name] = error
                    self._runner.note_failure(error, monotonic_s() - since_s)
            if self._at == began_at:
                raise self._runner.verdict(f"rounds {self._at} to {last}", failures)

    async def _from(self, name: str, last: Round) -> AsyncGenerator[Batch, None]:
        self._runner.observer.asked(name)
        since_s = monotonic_s()
        incoming = self._in_time(
            name, self._runner.sources[name].batches(self._judge.info, Round(self._at), last), last
        )
        async with aclosing(self._verified(name, incoming)) as batches:
            async for batch in batches:
                yield batch
        if self._at <= last:
            raise RoundMissing(name, f"ended before round {self._at}")
        self._runner.observer.answered(name, monotonic_s() - since_s)

    async def _in_time(self, name: str, incoming: Incoming, last: Round) -> Incoming:
        """What a source gives; raises SourceTimeout when it is too slow, be it silent or dribbling.

        It may take as long as a question, and PATIENCE_PER_ROUND_S more for each round: for those it has given, and
        for a single piece as if it were of MAX_BATCH rounds, since it may be. Time that the reader takes is not its.
        """
        left, given, spent_s = last - self._at + 1, 0, 0.0
        async with aclosing(incoming):
            while True:
                since_s = monotonic_s()
                patience_s = self._runner.deadline_s + min(left, MAX_BATCH) * PATIENCE_PER_ROUND_S
                try:
                    async with asyncio.timeout(patience_s):
                        piece = await anext(incoming, None)
                except TimeoutError as error:
                    raise SourceTimeout(name, f"no rounds within {patience_s:g} s") from error
                if piece is None:
                    return
                spent_s += monotonic_s() - since_s
                given, left = given + len(piece), left - len(piece)
                yield piece
                if left > 0 and spent_s > self._runner.deadline_s + given * PATIENCE_PER_ROUND_S:
                    raise SourceTimeout(name, f"too slow: {given} rounds in {spent_s:.1f} s")

    # ------------------------------------------------------------ verification, ahead of the reader

    async def _verified(self, source: str, incoming: Incoming) -> AsyncGenerator[Batch, None]:
        """One source's batches, verified; raises what is wrong with one when those before it are given out."""
        stretch = _Stretch(source, incoming, self._at, self._before)
        stretch.fetch()
        try:
            while stretch.coming is not None or stretch.under_way:
                verdict = stretch.under_way[0][1] if stretch.under_way else None
                room = len(stretch.under_way) <= self._verifiers.width
                awaited = {one for one in (stretch.coming if room else None, verdict) if one is not None}
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if room and stretch.coming is not None and stretch.coming.done():
                    self._admit(stretch, stretch.coming)
                if verdict is not None and verdict.done():
                    yield self._accepted(stretch)
            if stretch.fault is not None:
                raise stretch.fault
        except VerifiersClosed as error:
            raise ClientClosed("the client was closed during the call") from error
        finally:
            await stretch.stop()

    def _admit(self, stretch: _Stretch, coming: "asyncio.Future[list[Beacon] | None]") -> None:
        """Put what has come to the verifiers, and ask for more; or note why there is no more."""
        stretch.coming = None
        try:
            beacons = coming.result()
            if beacons is None:
                return
            self._require_expected(stretch, beacons)
        except SourceFault as error:
            stretch.fault = error
            return
        verdict = self._verifiers.submit(self._judge.verifier, beacons, of=self._wanted)
        stretch.under_way.append((beacons, asyncio.wrap_future(verdict)))
        stretch.at, stretch.before = beacons[-1].round + 1, beacons[-1]
        stretch.fetch()

    def _require_expected(self, stretch: _Stretch, beacons: list[Beacon]) -> None:
        if not 0 < len(beacons) <= MAX_BATCH:
            raise MalformedAnswer(stretch.source, f"gave {len(beacons)} rounds at once")
        if beacons[0].round != stretch.at:
            raise WrongRound(stretch.source, f"sent round {beacons[0].round} where round {stretch.at} was due")
        self._judge.require_linked(stretch.source, beacons, stretch.before)

    def _accepted(self, stretch: _Stretch) -> Batch:
        beacons, verdict = stretch.under_way.popleft()
        batch = self._judge.accepted(stretch.source, beacons, verdict.result(), self._clock.now())
        self._at, self._before = beacons[-1].round + 1, beacons[-1]
        return batch

    async def _keep(self, batch: Batch) -> None:
        """Have a batch archived. One that finds no room is given out all the same; the observer has heard of it."""
        self._runner.require_open()
        if self._archive is not None:
            with suppress(StoreFailed):
                await self._archive.put(self._judge.chain_hash, [one.plain for one in batch])
            self._runner.require_open()
