"""What a file says about itself before anybody can open it. Nothing of this is authentic until it has been opened."""

from collections.abc import Iterable
from dataclasses import dataclass

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


def inspect(reader: Reader, chains: Iterable[ChainInfo] = ()) -> Inspection:
    """Read the header of a file; raises NotAnAgeFile, DamagedArmor or DamagedHeader.

    chains   known beside those that are built in
    """
    opener = FileOpener()
    header = read_header(opener, reader)
    known = {chain.hash().hex(): chain for chain in chains}
    locks = []
    for stanza in tlock_stanzas(header.stanzas):
        chain = known.get(stanza.chain_hash) or public_chain(stanza.chain_hash)
        opens = None if chain is None else chain.schedule.due_unix_s(stanza.round)
        locks.append(Lock(stanza.round, stanza.chain_hash, _name(chain), opens))
    return Inspection(opener.armored, tuple(locks), tuple(stanza.type for stanza in header.stanzas))


def _name(chain: ChainInfo | None) -> str:
    """The built-in name of a chain, else its beacon id; "" for an unknown one."""
    if chain is None:
        return ""
    for name in PUBLIC_CHAINS:
        built_in = public_chain(name)
        if built_in is not None and built_in.hash() == chain.hash():
            return name
    return chain.beacon_id
