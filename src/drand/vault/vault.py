"""The vault: typed requests in, public bundles and partial signatures out, and no secret ever.

It waits for nothing and opens no socket: `answer` takes one request and gives its reply, and whatever the reply commits
the vault to is in the state file before it returns. The simulated world hands it another clock, another source of
randomness and a file in memory; a daemon reaches it through a link (drand.vault.links).
"""

import threading
from collections.abc import Callable
from typing import assert_never

from collective.clock import Clock
from collective.entropy import Entropy
from collective.errors import CollectiveError, Unavailable
from collective.sharing.commitment import PublicPolynomial
from collective.sharing.share import Share as PlainShare
from collective.sharing.share import verify_share
from drand.model.bundles import session_id
from drand.model.chain import Index
from drand.model.group import Group
from drand.model.share import Share
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    IdentityShown,
    JudgeDeals,
    OpenEpoch,
    ShowIdentity,
    ShowShares,
    SignGroup,
    SignPartial,
    VaultRefused,
    VaultReply,
    VaultRequest,
)
from drand.vault.combining import combine_shares, epoch_name
from drand.vault.dealing import deal_shares, show_shares
from drand.vault.judging import judge_deals
from drand.vault.keeper import Keeper, KeyPair, Refused
from drand.vault.sessions import with_epoch
from drand.vault.signing import check_member, open_epoch, open_terms, sign_group, sign_partial
from drand.vault.state import HeldEpoch, StateDamaged, StateFile, VaultState, decode, encode
from drand.vault.user_source import read_script

Answer = tuple[VaultState, VaultReply]


def _no_export(share: Share) -> None:
    """Nobody else reads the share: a simulated node, or a vault without Go-readable files."""


class Vault:
    """One beacon's keys. Calls must not overlap, but for `close`.

    keys          the long-term key pair; the state file belongs to it
    state_file    where the state is kept; read here, and in `read_again`
    read_script   runs an operator's randomness script: (path, bytes wanted) -> bytes; may take seconds
    export        keeps a newly opened share where the Go implementation would look for it
    raises        StateDamaged when the state is not what a vault wrote for this key; Unavailable from the state file
    """

    def __init__(
        self,
        keys: KeyPair,
        state_file: StateFile,
        *,
        entropy: Entropy,
        clock: Clock,
        read_script: Callable[[str, int], bytes] = read_script,
        export: Callable[[Share], None] = _no_export,
    ) -> None:
        self._keeper = Keeper(keys, entropy, clock, read_script)
        self._file = state_file
        self._export = export
        self._state = self._load()
        self._writing = threading.Lock()  # between an answer in another thread and `close`
        self._closed = False

    def __repr__(self) -> str:
        return f"Vault({self._keeper.keys.identity.address}, {len(self._state.epochs)} shares)"

    def answer(self, request: VaultRequest) -> VaultReply:
        """The reply to `request`; a VaultRefused where the vault will not or cannot. The same again gives the same."""
        try:
            state, reply = self._handle(request)
            with self._writing:
                self._keep(state)
                if isinstance(request, OpenEpoch):
                    self._export_newest(request.epoch_id)
        except CollectiveError as error:
            retry = error.retry if isinstance(error, Refused) else isinstance(error, Unavailable)
            return VaultRefused(request.request_id, str(error), retry)
        except (OverflowError, ValueError) as error:  # a number that no wire could have carried
            return VaultRefused(request.request_id, f"malformed request: {type(error).__name__}")
        return reply

    def close(self) -> None:
        """From when this returns on the files are another vault's: nothing is kept, exported or answered any more.

        May be called from another thread while a request is answered; that answer is then refused.
        """
        with self._writing:
            self._closed = True

    def read_again(self) -> None:
        """Believe the file again; raises as the making of a vault.

        For whoever has just made sure that nobody else writes the file: until then another vault might have.
        """
        with self._writing:
            self._state = self._load()

    def holds(self, epoch_id: bytes) -> bool:
        """Whether there is a share under this name, open or not."""
        return any(held.epoch_id == epoch_id for held in self._state.epochs)

    @property
    def in_use(self) -> bool:
        """Whether a share was ever opened: then there is a group, whatever the node around us knows of it."""
        return any(held.opened is not None for held in self._state.epochs)

    def opened_for(self, group: Group) -> bytes | None:
        """The name of the share that was opened for just this group, None without one.

        raises  Refused or InvalidGroup where the group is unsound, or we are not where the share lies in it
        """
        terms = open_terms(group)
        for held in self._state.epochs:
            if held.opened == terms:
                check_member(self._keeper, held, group)
                return held.epoch_id
        return None

    def mend_export(self, epoch_id: bytes, mend: Callable[[Share], str]) -> str:
        """What `mend` says of the share of this name, if it is what `export` got last; "" otherwise."""
        opened = [held for held in self._state.epochs if held.opened is not None]
        if not opened or opened[-1].epoch_id != epoch_id:
            return ""
        return mend(self._share_of(opened[-1]))

    def adopt(self, group: Group, share: Share) -> bytes:
        """Take over a share that another program (Go, or a vault whose state is lost) kept; returns its epoch id.

        The id is the one that a vault which had combined it would have given. Opens nothing: OpenEpoch follows.
        raises  Refused or InvalidGroup unless group, share and our key fit each other; InvalidShare when the secret
                does not lie on the public polynomial; Unavailable when the state cannot be kept
        """
        session = session_id(group.transition_unix_s or group.genesis_unix_s)
        held = HeldEpoch(
            epoch_id=epoch_name(session, share.commits),
            session_id=session,
            origin=b"",
            index=share.index,
            share=share.secret,
            commits=share.commits,
        )
        check_member(self._keeper, held, group)
        public = PublicPolynomial.decode(self._keeper.scheme.key_group, share.commits)
        verify_share(public, PlainShare(share.index, share.secret))
        with self._writing:
            self._keep(with_epoch(self._state, held))
        return held.epoch_id

    def _handle(self, request: VaultRequest) -> Answer:
        keeper, state = self._keeper, self._state
        match request:
            case ShowIdentity(request_id):
                return state, IdentityShown(request_id, keeper.keys.identity)
            case SignGroup():
                return sign_group(keeper, state, request)
            case DealShares():
                return deal_shares(keeper, state, request)
            case JudgeDeals():
                return judge_deals(keeper, state, request)
            case ShowShares():
                return show_shares(keeper, state, request)
            case CombineShares():
                return combine_shares(keeper, state, request)
            case OpenEpoch():
                return open_epoch(keeper, state, request)
            case SignPartial():
                return sign_partial(keeper, state, request)
            case _:
                assert_never(request)

    def _keep(self, state: VaultState) -> None:
        """The barrier: nothing is answered before the state that it follows from is on disk.

        raises  Refused once closed, whatever the state: the file may say more by now than this vault knows
        """
        if self._closed:
            raise Refused("the vault is closed")
        if state is not self._state:
            self._file.replace(encode(state))
            self._state = state

    def _export_newest(self, epoch_id: bytes) -> None:
        """Go's file holds one share: the one opened last. Opening an older one again leaves it alone."""
        newest = next(held for held in reversed(self._state.epochs) if held.opened is not None)
        if newest.epoch_id == epoch_id:
            self._export(self._share_of(newest))

    def _share_of(self, held: HeldEpoch) -> Share:
        return Share(Index(held.index), held.share, held.commits, self._keeper.scheme)

    def _load(self) -> VaultState:
        keeper = self._keeper
        fresh = VaultState(public_key=keeper.public_key, scheme=keeper.scheme.name)
        data = self._file.read()
        if data is None:
            return fresh
        state = decode(data, str(self._file), order=keeper.scheme.key_group.order)
        if (state.public_key, state.scheme) != (fresh.public_key, fresh.scheme):
            raise StateDamaged(
                f"{self._file} belongs to another key pair or scheme",
                hint="put the key pair back that was used with this folder, or move the file away with its shares",
            )
        return state
