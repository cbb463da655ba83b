"""Which chain, and where its rounds come from: what the commands of `drand timelock` choose from their flags."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from collective.errors import BadSetting, CollectiveError
from drand.cli.countdown import Countdown
from drand.cli.verify import info_in
from drand.client.chains import PUBLIC_CHAINS, public_chain
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.timelock.errors import DamagedHeader, WrongChain
from drand.timelock.header import Stanza
from drand.timelock.recipients import most_telling
from drand.timelock.tlock import BeaconSource, TlockIdentity, require_suitable, tlock_stanzas
from drand.wire.http_json import bounded_lines, parse_beacons

DEFAULT_CHAIN = "quicknet"
_CHAIN_HASH = re.compile(r"[0-9a-fA-F]{64}")


def chosen_chain(text: str, urls: Sequence[str]) -> ChainInfo:
    """The chain that --chain names: built in, a hash that the servers know, or a file with what /info answers.

    raises  BadSetting; what `drand.client` raises for servers that do not know the hash, or lie about it
    """
    built_in = public_chain(text) or public_chain(text.lower())
    if built_in is not None:
        return built_in
    if not _CHAIN_HASH.fullmatch(text):
        return info_in(text)
    if not urls:
        raise BadSetting(
            f"the chain {text.lower()} is not built in",
            hint=f"give a server with --url, or its /info as a file; built in are {', '.join(PUBLIC_CHAINS)}",
        )
    from drand.client import Client

    with Client(text.lower(), urls) as client:
        return client.info()


class BeaconFile:
    """Rounds out of JSON, as the HTTP API gives them, one or many (`drand.timelock.tlock.BeaconSource`).

    opened   gives the JSON from its beginning
    """

    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._opened = opened

    @classmethod
    def named(cls, text: str) -> "BeaconFile":
        """What --beacon names: JSON itself, or a file; raises BadSetting."""
        if text.lstrip().startswith(("{", "[")):
            return cls(lambda: BytesIO(text.encode()))
        path = Path(text)
        if not path.is_file():
            raise BadSetting(
                f"{text!r} is neither a beacon nor a file", hint="give what /public/{round} answers, or a file with it"
            )
        return cls(lambda: path.open("rb"))

    def get(self, round_: Round) -> Beacon:
        """One round; raises BeaconNotFound, or Malformed for what is no beacon."""
        with self._opened() as file:
            for beacon in parse_beacons(bounded_lines(file)):
                if beacon.round == round_:
                    return beacon
        raise BeaconNotFound(f"round {round_} is not in what --beacon gives", hint="fetch /public/" + str(round_))


class Rounds:
    """Opens tlock stanzas of any chain (`drand.timelock.recipients.Identity`); use it with `with`.

    chain      what --chain says: stanzas of another one are refused. None: the chain that the file names, whose
               information is built in or comes from the servers and has exactly that hash
    beacon     what --beacon says; else the servers are asked
    countdown  waits for rounds to come; None: a round of the future is an error
    """

    def __init__(
        self,
        chain: str | None,
        urls: Sequence[str],
        *,
        beacon: str | None = None,
        archive: Path | None = None,
        countdown: Countdown | None = None,
    ) -> None:
        self._chain = None if chain is None else chosen_chain(chain, urls)
        self._urls = urls
        self._given = None if beacon is None else BeaconFile.named(beacon)
        self._archive = archive
        self._countdown = countdown
        self._open = ExitStack()
        self._identities: dict[bytes, TlockIdentity] = {}

    def __enter__(self) -> "Rounds":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key, once its round is there; see `TlockIdentity.unwrap`."""
        if not tlock_stanzas(stanzas):
            return None
        chains = [self._chain] if self._chain is not None else self.named_chains(stanzas)
        identities = [self._identity_for(chain) for chain in chains]
        if self._countdown is None:
            return _by_any(identities, stanzas)
        return self._countdown.until_it_opens(lambda: _by_any(identities, stanzas))

    def named_chains(self, stanzas: Sequence[Stanza]) -> list[ChainInfo]:
        """The chains of the stanzas that are built in, or that the servers know; the one that opens first is first.

        raises  why none of them is known
        """
        found, reasons = list[tuple[int, ChainInfo]](), list[CollectiveError]()
        locks = tlock_stanzas(stanzas)
        for chain_hash in dict.fromkeys(stanza.chain_hash for stanza in locks):
            try:
                chain = public_chain(chain_hash) or self._asked_chain(chain_hash)
                require_suitable(chain)
            except CollectiveError as error:
                reasons.append(error)
                continue
            first = min(stanza.round for stanza in locks if stanza.chain_hash == chain_hash)
            found.append((chain.schedule.due_unix_s(first), chain))
        if not found:
            raise reasons[0]
        return [chain for _, chain in sorted(found, key=lambda one: one[0])]

    def _asked_chain(self, chain_hash: str) -> ChainInfo:
        if not self._urls:
            raise WrongChain(
                f"the file is locked to the chain {chain_hash}, which is not built in",
                wanted=(chain_hash,),
                hint="give a server that has it with --url, or its /info as a file with --chain",
            )
        return chosen_chain(chain_hash, self._urls)

    def _identity_for(self, chain: ChainInfo) -> TlockIdentity:
        chain_hash = chain.hash()
        if chain_hash not in self._identities:
            self._identities[chain_hash] = TlockIdentity(chain, self._given or self._client(chain))
        return self._identities[chain_hash]

    def _client(self, chain: ChainInfo) -> BeaconSource:
        from drand.client import Client

        return self._open.enter_context(Client(chain, self._urls, archive=self._archive))


def _by_any(identities: Sequence[TlockIdentity], stanzas: Sequence[Stanza]) -> bytes | None:
    """The file key by the first that has it; raises the most telling reason when none has it."""
    reasons: list[CollectiveError] = []
    for identity in identities:
        try:
            return identity.unwrap(stanzas)
        except DamagedHeader:
            raise
        except CollectiveError as error:
            reasons.append(error)
    raise most_telling(reasons)


@contextmanager
def asking(chain: ChainInfo, urls: Sequence[str], archive: Path | None) -> Iterator[BeaconSource]:
    """A client of the chain's servers."""
    from drand.client import Client

    with Client(chain, urls, archive=archive) as client:
        yield client
