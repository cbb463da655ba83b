"""How a node reaches its vault: a link named by URI. The protocols never see which one it is."""

import asyncio
from pathlib import Path
from typing import Protocol

from collective.clock import Clock, SystemClock
from collective.entropy import Entropy, SystemEntropy
from collective.errors import BadSetting, Unavailable
from drand.model.group import Group
from drand.model.schemes import Scheme
from drand.model.vault_messages import DealShares, VaultRefused, VaultReply, VaultRequest
from drand.vault.folder import VaultFolder
from drand.vault.vault import Vault

MAX_WAITING = 64


class VaultLink(Protocol):
    """A way to ask the vault."""

    async def ask(self, request: VaultRequest) -> VaultReply:
        """The reply; a VaultRefused with `retry` when the vault is busy."""
        ...

    async def close(self) -> None:
        """Wait for what is being answered, take nothing more. Cancelled, it no longer waits: nothing is kept then."""
        ...


class InprocLink:
    """A vault in this very process: answers one request at a time, in the order they were asked.

    An answer takes milliseconds and is given in the loop's thread, but for an operator's randomness script, which is
    waited for in another one. A caller that gives up does not stop what the vault has begun.
    """

    def __init__(self, vault: Vault, folder: VaultFolder | None = None) -> None:
        self.vault = vault
        self.folder = folder
        self._turn = asyncio.Lock()  # first come, first served
        self._asked: set[asyncio.Task[VaultReply]] = set()
        self._closed = False

    async def ask(self, request: VaultRequest) -> VaultReply:
        """The reply; a VaultRefused with `retry` when MAX_WAITING requests wait already, or after `close`."""
        if self._closed:
            return VaultRefused(request.request_id, "the link to the vault is closed")
        if len(self._asked) >= MAX_WAITING:
            return VaultRefused(request.request_id, f"the vault is busy: {MAX_WAITING} requests wait", retry=True)
        task = asyncio.create_task(self._answer(request))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for what was asked, take nothing more.

        Cancelled, it leaves a script behind that is still waited for in its thread, and a vault that keeps nothing of
        what comes of it: whoever opens the files next is the only one who writes them.
        """
        self._closed = True
        try:
            await asyncio.gather(*self._asked)
        finally:
            self.vault.close()

    def read_again(self) -> None:
        """Believe the state file again, now that no other process writes it; raises StateDamaged, Unavailable."""
        self.vault.read_again()

    def holds(self, epoch_id: bytes) -> bool:
        """Whether the vault has the share of this name; where it has not, its state was lost, and `adopt` may help."""
        return self.vault.holds(epoch_id)

    @property
    def in_use(self) -> bool:
        """Whether the vault has ever opened a share: a node without a group has lost it then."""
        return self.vault.in_use

    def opened_for(self, group: Group) -> bytes | None:
        """The epoch id of the share that was opened for just this group, None without one; as Vault.opened_for."""
        return self.vault.opened_for(group)

    def adopt(self, group: Group) -> bytes:
        """Adopt the share in `dist_key.private` for `group`; returns its epoch id.

        raises  Unavailable without such a file; DamagedKeyFile; and as Vault.adopt
        """
        share = None if self.folder is None else self.folder.load_share(group.scheme)
        if share is None:
            where = "the vault" if self.folder is None else str(self.folder.share_file)
            raise Unavailable(
                f"there is no share to adopt in {where}",
                hint="restore dist_key.private or vault.state from a backup; a share belongs to one group",
            )
        return self.vault.adopt(group, share)

    def mend_share_file(self, epoch_id: bytes) -> str:
        """Make `dist_key.private` hold the opened share of this name; what was wrong with it, "" where it was right.

        raises  DiskRefused; then the file is as it was, or gone
        """
        return "" if self.folder is None else self.vault.mend_export(epoch_id, self.folder.mend_share)

    def complaints(self) -> list[str]:
        """What is too open to others among the vault's files."""
        return [] if self.folder is None else self.folder.complaints()

    def discard_leftovers(self) -> None:
        """Remove what a vault that was killed while it wrote has left of its secrets; no other may run on its files."""
        if self.folder is not None:
            self.folder.discard_leftovers()

    async def _answer(self, request: VaultRequest) -> VaultReply:
        async with self._turn:
            if isinstance(request, DealShares) and request.entropy is not None:
                return await asyncio.to_thread(self.vault.answer, request)
            return self.vault.answer(request)


def open_vault(
    uri: str,
    folder: Path,
    *,
    scheme: Scheme | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> InprocLink:
    """The link that `uri` names, to the vault of the beacon whose files are in `folder`.

    scheme  of the group, where there is one, for old key files that name none
    raises  BadSetting for another kind of link than `inproc:`; NoKeyPair, DamagedKeyFile or StateDamaged
    """
    if uri != "inproc:":
        raise BadSetting(
            f"the vault link {uri!r} is not available in this version",
            hint="use `inproc:`: the vault inside the daemon",
        )
    files = VaultFolder(folder)
    vault = Vault(
        files.load_key_pair(scheme),
        files.state_file,
        entropy=entropy or SystemEntropy(),
        clock=clock or SystemClock(),
        export=files.save_share,
    )
    return InprocLink(vault, files)
