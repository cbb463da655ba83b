"""What a file says about itself before anybody can open it. Nothing of this is authentic until it has been opened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from drand.client.chains import PUBLIC_CHAINS, public_chain
from drand.model.chain import ChainInfo, Round
from drand.timelock.file import FileOpener
from drand.timelock.streams import Reader, read_header
from drand.timelock.tlock import STANZA_TYPE, tlock_stanzas


@dataclass(frozen=True, slots=True)
class Lock:
    """One round that opens the file."""

    round: Round
    chain_hash: str  # 64 hex digits
    chain_name: str  # of a known chain, else ""
    opens_unix_s: int | None  # when the round is due; None for a chain that is not known here


@dataclass(frozen=True, slots=True)
class Inspection:
    """The header of a file, told apart.

    locks        the rounds that open it, each by itself, the earliest first
    recipients   the types of all stanzas in their order, "tlock" included
    """

    armored: bool
    locks: tuple[Lock, ...]
    recipients: tuple[str, ...]

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds that open the file."""
        return tuple(lock.round for lock in self.locks)

    @property
    def chain_hashes(self) -> tuple[str, ...]:
        """The chains whose rounds open the file, each once."""
        return tuple(dict.fromkeys(lock.chain_hash for lock in self.locks))

    @property
    def opens_unix_s(self) -> int | None:
        """When the first of the locks opens, by the schedules that are known here; None when none is."""
        return min((lock.opens_unix_s for lock in self.locks if lock.opens_unix_s is not None), default=None)

    @property
    def others(self) -> tuple[str, ...]:
        """The types of stanzas that are no time locks."""
        return tuple(kind for kind in self.recipients if kind != STANZA_TYPE)

    def knowing(self, chains: Iterable[ChainInfo]) -> "Inspection":
        """The same with the names and times of `chains`, and of those that are built in."""
        known = {chain.hash().hex(): chain for chain in chains}
        return replace(self, locks=tuple(_lock(lock.round, lock.chain_hash, known) for lock in self.locks))


def inspect(reader: Reader, chains: Iterable[ChainInfo] = ()) -> Inspection:
    """Read the header of a file; raises NotAnAgeFile, DamagedArmor or DamagedHeader.

    chains   known beside those that are built in
    """
    opener = FileOpener()
    header = read_header(opener, reader)
    locks = tuple(_lock(stanza.round, stanza.chain_hash, {}) for stanza in tlock_stanzas(header.stanzas))
    return Inspection(opener.armored, locks, tuple(stanza.type for stanza in header.stanzas)).knowing(chains)


def _lock(round_: Round, chain_hash: str, known: Mapping[str, ChainInfo]) -> Lock:
    chain = known.get(chain_hash) or public_chain(chain_hash)
    return Lock(round_, chain_hash, _name(chain), None if chain is None else chain.schedule.due_unix_s(round_))


def _name(chain: ChainInfo | None) -> str:
    """The built-in name of a chain, else its beacon id; "" for an unknown one."""
    if chain is None:
        return ""
    for name in PUBLIC_CHAINS:
        built_in = public_chain(name)
        if built_in is not None and built_in.hash() == chain.hash():
            return name
    return chain.beacon_id
