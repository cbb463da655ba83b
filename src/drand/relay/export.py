"""Static export: beacons as files whose paths are those of the HTTP API, so that any file server is a drand server.

    chains, info, public/N, public/latest               v1, of the first chain
    <hash>/info, <hash>/public/N, <hash>/public/latest  v1, of each chain
    v2/chains/<hash>/info, v2/chains/<hash>/rounds/N, .../rounds/latest, and the same below v2/beacons/<id>
    v2/chains/<hash>/pages/FIRST                        1000 rounds, one JSON object a line; whole pages only
    v2/chains/index.json, v2/beacons/index.json         the lists: a folder cannot be a file as well

Files are written whole (a new name, then a rename), rounds before `latest`, so a reader never sees half of one, and an
export that was stopped goes on where it was. A file that exists is not written again: rounds never change.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from collective.errors import BadSetting, Malformed, Unavailable
from collective.files import discard
from drand.client.async_client import AsyncClient
from drand.client.sources import Address
from drand.daemon.folders import checked_beacon_id
from drand.model.chain import Beacon, ChainInfo, canonical_beacon_id
from drand.net.http_v2 import PAGE_ROUNDS
from drand.relay.discovery import Wanted, default_of, wanted_chains
from drand.relay.settings import RelaySettings
from drand.wire.http_json import (
    beacon_json,
    beacon_v2_json,
    chain_info_json,
    chain_info_v2_json,
    chains_json,
    names_json,
    parse_beacon,
    parse_chain_info,
)

LIST_FILE = "index.json"  # of chains, of beacons
PIECE_ROUNDS = 10_000  # verified and written before the next ones are asked for


class CannotWrite(Unavailable):
    """The disk refuses a file of the export."""

    hint = "free space or check the permissions, then run it again: it goes on where it stopped"


def run_export(settings: RelaySettings, out: Path, first: int, last: int | None) -> Iterator[str]:
    """Write what is missing; gives a line for each piece. Raises CannotWrite, BadSetting, what the client raises."""
    if first < 1 or (last is not None and last < first):
        raise BadSetting(f"there are no rounds from {first} to {last}")
    lines = _export(settings, out, first, last)
    with asyncio.Runner() as runner:
        while (line := runner.run(anext(lines, None))) is not None:
            yield line


async def _export(settings: RelaySettings, out: Path, first: int, last: int | None) -> AsyncGenerator[str, None]:
    chains = [(await _info(settings, wanted), wanted) for wanted in await wanted_chains(settings)]
    unnamed = chains[0][0] if settings.chains else default_of([info for info, _ in chains])
    check_unnamed(out, unnamed)
    check_names([info for info, _ in chains])
    for info, wanted in chains:
        async with _client(settings, wanted, info) as client:
            tree = Tree(out, info, default=info is unnamed)
            tree.write_info()
            async with aclosing(_rounds(client, tree, first, last)) as lines:
                async for line in lines:
                    yield line
    write_lists(out, [info for info, _ in chains])
    yield f"{len(chains)} chains in {out}"


def _client(settings: RelaySettings, wanted: Wanted, info: ChainInfo | None) -> AsyncClient:
    sources: list[Address] = [*settings.sources, *([wanted.store] if wanted.store is not None else [])]
    return AsyncClient(info or wanted.chain_hash, sources, archive=settings.archive)


async def _info(settings: RelaySettings, wanted: Wanted) -> ChainInfo:
    if wanted.info is not None:
        return wanted.info
    async with _client(settings, wanted, None) as client:
        return await client.info()


def check_unnamed(out: Path, info: ChainInfo) -> None:
    """The chain without a hash in its paths stays the same one: its files are never written again.

    Raises BadSetting when the folder has another; Malformed when that cannot be told.
    """
    try:
        there = parse_chain_info((out / "info").read_bytes())
    except OSError:
        return  # nothing was exported here yet, or nothing can be: the first write tells
    if there.hash() != info.hash():
        raise BadSetting(
            f"{out} has the rounds of chain {there.hash().hex()} where none is named, not those of {info.hash().hex()}",
            hint=f"name it first, --chain {there.hash().hex()}, or give another --out",
        )


def check_names(infos: Sequence[ChainInfo]) -> None:
    """Raise BadSetting when two chains have one beacon id, whose folder would hold rounds of both."""
    for name, count in Counter(canonical_beacon_id(info.beacon_id) for info in infos).items():
        if count > 1:
            raise BadSetting(f"{count} chains have the beacon id {name}", hint="say which one is meant with --chain")


async def _rounds(client: AsyncClient, tree: "Tree", first: int, last: int | None) -> AsyncGenerator[str, None]:
    latest = (await client.latest()).plain
    end = latest.round if last is None else min(last, latest.round)
    at = tree.resume(first)
    while at <= end:
        until = min(end, at + PIECE_ROUNDS - 1)
        async with aclosing(client.batches(at, until)) as batches:
            async for batch in batches:
                for beacon in batch:
                    tree.write_round(beacon.plain)
        tree.write_pages(at, until)
        tree.remember(first, until)
        yield f"{tree.name}: rounds {at} to {until}"
        at = until + 1
    tree.write_latest(latest)


class Tree:
    """The files of one chain below the folder of an export."""

    def __init__(self, out: Path, info: ChainInfo, *, default: bool) -> None:
        self.info = info
        chain_hash, beacon_id = info.hash().hex(), checked_name(canonical_beacon_id(info.beacon_id))
        self.name = f"{beacon_id} ({chain_hash[:16]})"
        self._v1 = [out / chain_hash, *([out] if default else [])]
        self._v2 = [out / "v2" / "chains" / chain_hash, out / "v2" / "beacons" / beacon_id]
        self._mark = self._v2[0] / ".exported"

    def write_info(self) -> None:
        """The chain information, under every name."""
        for folder in self._v1:
            write(folder / "info", chain_info_json(self.info))
        for folder in self._v2:
            write(folder / "info", chain_info_v2_json(self.info))

    def write_round(self, beacon: Beacon) -> None:
        """One round, under every name, where it is not there yet."""
        one, two = beacon_json(beacon), beacon_v2_json(beacon)
        for folder in self._v1:
            write_once(folder / "public" / str(beacon.round), one)
        for folder in self._v2:
            write_once(folder / "rounds" / str(beacon.round), two)

    def write_latest(self, beacon: Beacon) -> None:
        """What `latest` answers, the only file of a chain that changes; not back to an older round."""
        try:
            there = parse_beacon((self._v2[0] / "rounds" / "latest").read_bytes())
        except (OSError, Malformed):
            there = None  # the first export, or a damaged file
        if there is not None and there.round > beacon.round:
            return
        for folder in self._v1:
            write(folder / "public" / "latest", beacon_json(beacon))
        for folder in self._v2:
            write(folder / "rounds" / "latest", beacon_v2_json(beacon))

    def write_pages(self, first: int, last: int) -> None:
        """The pages that end between `first` and `last`, from the files of their rounds, where all are there."""
        for start in range(first - first % PAGE_ROUNDS, last - PAGE_ROUNDS + 2, PAGE_ROUNDS):
            files = [self._v2[0] / "rounds" / str(r) for r in range(max(start, 1), start + PAGE_ROUNDS)]
            if all(file.exists() for file in files):
                body = b"".join(file.read_bytes() + b"\n" for file in files)
                for folder in self._v2:
                    write_once(folder / "pages" / str(max(start, 1)), body)

    def resume(self, first: int) -> int:
        """Where to go on: after the last round that an export from `first` on or before has finished."""
        try:
            began, ended = (int(word) for word in self._mark.read_text().split())
            last_file = self._v2[0] / "rounds" / str(ended)
            if began <= first <= ended + 1 and parse_beacon(last_file.read_bytes()).round == ended:
                return ended + 1
        except (OSError, ValueError):
            return first  # nothing was exported yet, or the mark is damaged: look at every file
        return first

    def remember(self, first: int, last: int) -> None:
        """All rounds from `first` to `last` are written, and will be there after a loss of power."""
        os.sync()
        write(self._mark, f"{first} {last}\n".encode())


def checked_name(beacon_id: str) -> str:
    """A beacon id that may name a folder; raises BadSetting. Whoever made the chain has chosen it."""
    name = checked_beacon_id(beacon_id)
    if name == LIST_FILE:
        raise BadSetting(f"the beacon id {name} is the name of the list", hint="name other chains with --chain")
    return name


def write_lists(out: Path, infos: Sequence[ChainInfo]) -> None:
    """The lists of chains."""
    hashes = chains_json(info.hash() for info in infos)
    write(out / "chains", hashes)
    write(out / "v2" / "chains" / LIST_FILE, hashes)
    write(out / "v2" / "beacons" / LIST_FILE, names_json(canonical_beacon_id(info.beacon_id) for info in infos))


def write_once(path: Path, body: bytes) -> None:
    """Write a file that never changes, unless it is there; an empty one is what a loss of power leaves."""
    if not (path.exists() and path.stat().st_size):
        write(path, body)


def write(path: Path, body: bytes) -> None:
    """Write a whole file: under another name first, so that nobody reads half of it. Raises CannotWrite."""
    waiting = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # two exports may meet: a first one takes hours
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting.write_bytes(body)
        os.replace(waiting, path)
    except OSError as error:
        discard(waiting)
        raise CannotWrite(f"cannot write {path}: {error.strerror}") from error
    except BaseException:  # a signal that ends the command
        discard(waiting)
        raise
