"""Real vaults that hold a key generation by direct calls, with state files in memory that a test can reload."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeVar

from collective.entropy import Entropy
from collective.sharing.threshold import PartialSignature, recover
from drand.model.bundles import Deal, DealBundle, DkgTerms, OldSharing, Participant, session_id
from drand.model.chain import Beacon, Index, Round
from drand.model.group import NANOSECONDS, Group, indexed
from drand.model.schemes import Scheme
from drand.model.share import Share
from drand.model.vault_messages import (
    CombineShares,
    DealShares,
    DealsJudged,
    EpochOpened,
    JudgeDeals,
    OpenEpoch,
    PartialSigned,
    RequestId,
    SharesCombined,
    SharesDealt,
    SignPartial,
    UserEntropy,
    VaultRefused,
    VaultReply,
    VaultRequest,
)
from drand.vault.folder import make_key_pair
from drand.vault.keeper import KeyPair
from drand.vault.state import MemoryStateFile
from drand.vault.vault import Vault
from tests.support.committee import TOY_CHAINED
from tests.support.entropy import SeededEntropy

GENESIS_S = 1_700_000_000
PERIOD_S = 30
T = TypeVar("T", bound=VaultReply)

_ids = count(1)


def fresh_id() -> RequestId:
    """A request id never used before: the vault must not rely on repeats having the same one."""
    return RequestId(f"test/{next(_ids)}")


class SetClock:
    """A clock that stands where the test puts it."""

    def __init__(self, unix_s: float = GENESIS_S) -> None:
        self.unix_s = unix_s

    def now(self) -> float:
        return self.unix_s


class Site:
    """One node's vault with the file, clock and randomness under it."""

    def __init__(self, keys: KeyPair, entropy: Entropy) -> None:
        self.keys = keys
        self.file = MemoryStateFile()
        self.clock = SetClock()
        self.entropy = entropy
        self.script: Callable[[str, int], bytes] = lambda path, size: bytes(size)
        self.exported: list[Share] = []
        self.vault = self.started()

    @property
    def key(self) -> bytes:
        return self.keys.identity.key

    def started(self) -> Vault:
        """A process that begins with what is in the file."""
        return Vault(
            self.keys,
            self.file,
            entropy=self.entropy,
            clock=self.clock,
            read_script=lambda path, size: self.script(path, size),
            export=self.exported.append,
        )

    def restart(self) -> None:
        """The process dies and comes back: only the file is left."""
        self.vault = self.started()

    def ask(self, request: VaultRequest, wanted: type[T]) -> T:
        """The reply, which must be a `wanted`."""
        reply = self.vault.answer(request)
        assert isinstance(reply, wanted), reply
        assert reply.request_id == request.request_id
        return reply

    def refusal(self, request: VaultRequest) -> VaultRefused:
        """The refusal, which must have left the file alone."""
        before = self.file.data
        reply = self.ask(request, VaultRefused)
        assert self.file.data == before
        return reply


class Ceremony:
    """Vaults of `size` nodes and the terms of a fresh session among them."""

    def __init__(self, size: int = 5, threshold: int = 3, scheme: Scheme = TOY_CHAINED, seed: int = 0) -> None:
        pairs = [
            make_key_pair(f"n{at}.{seed}:1", tls=False, scheme=scheme, entropy=SeededEntropy(1000 * seed + at))
            for at in range(size)
        ]
        nodes = indexed(pair.identity for pair in pairs)
        by_key = {pair.identity.key: pair for pair in pairs}
        self.scheme = scheme
        self.sites = [Site(by_key[node.identity.key], SeededEntropy(500 + 1000 * seed + node.index)) for node in nodes]
        self.candidates = Group(
            nodes=nodes,
            threshold=threshold,
            period_ns=PERIOD_S * NANOSECONDS,
            catchup_period_ns=NANOSECONDS,
            genesis_unix_s=GENESIS_S,
            genesis_seed=b"",
            scheme=scheme,
        ).with_seed()
        people = tuple(Participant(node.index, node.identity.key) for node in nodes)
        self.terms = DkgTerms(
            session_id=session_id(GENESIS_S), scheme=scheme, threshold=threshold, dealers=people, holders=people
        )

    @property
    def everybody(self) -> tuple[Index, ...]:
        return tuple(dealer.index for dealer in self.terms.dealers)

    def deal(self, at: int, entropy: UserEntropy | None = None) -> DealBundle:
        bundle = self.sites[at].ask(DealShares(fresh_id(), self.terms, entropy), SharesDealt).bundle
        assert bundle is not None
        return bundle

    def deals(self) -> tuple[DealBundle, ...]:
        """Everybody's bundle."""
        return tuple(self.deal(at) for at in range(len(self.sites)))

    def judge(
        self, at: int, deals: Sequence[DealBundle], dealers: tuple[Index, ...] | None = None
    ) -> dict[Index, bool]:
        """One node's verdicts."""
        request = JudgeDeals(fresh_id(), self.terms, tuple(deals), dealers or self.everybody)
        bundle = self.sites[at].ask(request, DealsJudged).bundle
        assert bundle is not None
        return {one.dealer_index: one.valid for one in bundle.responses}

    def combine(
        self,
        at: int,
        deals: Sequence[DealBundle],
        dealers: tuple[Index, ...] | None = None,
        shown: tuple[tuple[Index, bytes], ...] = (),
    ) -> SharesCombined:
        request = CombineShares(fresh_id(), self.terms, tuple(deals), dealers or self.everybody, shown)
        return self.sites[at].ask(request, SharesCombined)

    def group(self, commits: tuple[bytes, ...]) -> Group:
        return replace(self.candidates, public_key=commits)

    def open(self, at: int, combined: SharesCombined) -> None:
        request = OpenEpoch(fresh_id(), combined.epoch_id, self.group(combined.commits))
        self.sites[at].ask(request, EpochOpened)

    def run(self) -> list[SharesCombined]:
        """A whole fresh ceremony in which all are honest; every epoch is open afterwards."""
        deals = self.deals()
        for at in range(len(self.sites)):
            assert all(self.judge(at, deals).values())
        ends = [self.combine(at, deals) for at in range(len(self.sites))]
        for at, end in enumerate(ends):
            self.open(at, end)
        return ends

    def set_clocks(self, unix_s: float) -> None:
        for site in self.sites:
            site.clock.unix_s = unix_s

    def resharing(self, size: int, threshold: int, old: Sequence[SharesCombined], newcomers: int = 0) -> "Ceremony":
        """The next ceremony: the first `size - newcomers` of these nodes and some new ones; sites are shared."""
        transition = GENESIS_S + 10 * PERIOD_S
        following = Ceremony(newcomers or 1, 1, self.scheme, seed=7)
        sites = [*self.sites[: size - newcomers], *following.sites[:newcomers]]
        nodes = indexed(site.keys.identity for site in sites)
        by_key = {site.key: site for site in sites}
        following.sites = [by_key[node.identity.key] for node in nodes]
        following.candidates = replace(
            self.candidates, nodes=nodes, threshold=threshold, transition_unix_s=transition, public_key=()
        )
        following.terms = DkgTerms(
            session_id=session_id(transition),
            scheme=self.scheme,
            threshold=threshold,
            dealers=self.terms.dealers,
            holders=tuple(Participant(node.index, node.identity.key) for node in nodes),
            old=OldSharing(threshold=self.terms.threshold, commits=old[0].commits, epoch_id=old[0].epoch_id),
        )
        return following


def sign_request(epoch_id: bytes, round_: int, previous: bytes) -> SignPartial:
    return SignPartial(fresh_id(), epoch_id, Round(round_), previous)


def genesis(group: Group) -> Beacon:
    """Round 0."""
    return Beacon(Round(0), group.genesis_seed)


def first_round(ceremony: Ceremony, ends: list[SharesCombined], signers: list[int]) -> bytes:
    """The collective signature of round 1, put together from these nodes' partials and verified."""
    scheme, group = ceremony.scheme, ceremony.group(ends[0].commits)
    previous = genesis(group).signature
    partials = {}
    for at in signers:
        reply = ceremony.sites[at].ask(sign_request(ends[at].epoch_id, 1, previous), PartialSigned)
        partial = PartialSignature.decode(reply.partial, scheme.signature_bytes)
        assert partial.index == ends[at].index
        partials[partial.index] = scheme.signature_group.decode(partial.signature)
    signature = scheme.signature_group.encode(recover(scheme.signature_group, partials, len(group.public_key)))
    scheme.bls.verify(scheme.decode_key(group.public_key[0]), scheme.digest(1, previous), signature)
    return signature


def corrupted(bundle: DealBundle, holder: int) -> DealBundle:
    """The bundle with one sealed share that does not open."""
    deals = tuple(
        Deal(deal.share_index, bytes(len(deal.encrypted_share))) if deal.share_index == holder else deal
        for deal in bundle.deals
    )
    return replace(bundle, deals=deals)
