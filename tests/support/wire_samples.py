"""Nouns with real points in them, made from small secrets, and strategies that draw more of them."""

from collections.abc import Callable
from functools import cache

from hypothesis import strategies as st

from collective.errors import Malformed
from collective.secret import SecretScalar
from drand.model.bundles import (
    Bundle,
    Deal,
    DealBundle,
    Justification,
    JustificationBundle,
    Response,
    ResponseBundle,
)
from drand.model.chain import Index, Round
from drand.model.group import NANOSECONDS, Group, Identity, Node, indexed, minimum_threshold
from drand.model.schemes import Scheme, scheme_named
from drand.model.status import ChainStatus, DkgState, NodeStatus, ReshareState

CHAINED = scheme_named("pedersen-bls-chained")
QUICKNET = scheme_named("bls-unchained-g1-rfc9380")
MOST_NODES = 5

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
hashes = st.binary(min_size=32, max_size=32)
schemes = st.sampled_from([CHAINED, QUICKNET])
names = st.text(st.characters(codec="utf-8"), max_size=20)


@cache
def identity(number: int, scheme: Scheme = CHAINED) -> Identity:
    """The self-signed identity whose secret is `number` + 1."""
    secret = SecretScalar(number + 1)
    key = scheme.key_group.encode(scheme.bls.public_key(secret))
    address, tls = f"node{number}.example.org:44{number:02}", number % 2 == 1
    unsigned = Identity(address=address, key=key, tls=tls, signature=b"", scheme=scheme)
    signature = scheme.bls.sign(secret, unsigned.hash())
    return Identity(address=address, key=key, tls=tls, signature=signature, scheme=scheme)


def group(size: int = 3, scheme: Scheme = CHAINED, *, finished: bool = True, beacon_id: str = "default") -> Group:
    """A group of `size` nodes, with a public key of as many coefficients as its threshold when `finished`."""
    threshold = minimum_threshold(size)
    return Group(
        nodes=indexed(identity(number, scheme) for number in range(size)),
        threshold=threshold,
        period_ns=3 * NANOSECONDS,
        catchup_period_ns=1_500_000_000,
        genesis_unix_s=1_700_000_010,
        genesis_seed=b"\x07" * 32,
        scheme=scheme,
        public_key=tuple(identity(number, scheme).key for number in range(threshold)) if finished else (),
        beacon_id=beacon_id,
    )


@st.composite
def groups(draw: st.DrawFn, *, finished: bool | None = None) -> Group:
    """A group that passes its own check, with gaps between indices and periods to the nanosecond."""
    scheme = draw(schemes)
    size = draw(st.integers(1, MOST_NODES))
    threshold = draw(st.integers(minimum_threshold(size), size))
    indices = sorted(draw(st.sets(st.integers(0, 65535), min_size=size, max_size=size)))
    has_key = draw(st.booleans()) if finished is None else finished
    return Group(
        nodes=tuple(Node(identity(at, scheme), Index(index)) for at, index in enumerate(indices)),
        threshold=threshold,
        period_ns=draw(st.integers(NANOSECONDS, (2**32 - 1) * NANOSECONDS)),
        catchup_period_ns=draw(st.integers(0, (2**32 - 1) * NANOSECONDS)),
        genesis_unix_s=draw(st.integers(1, 2**63 - 1)),
        transition_unix_s=draw(st.integers(0, 2**63 - 1)),
        genesis_seed=draw(hashes),
        scheme=scheme,
        public_key=tuple(identity(at, scheme).key for at in range(threshold)) if has_key else (),
        beacon_id=draw(names.filter(bool)),
    )


@st.composite
def bundles(draw: st.DrawFn, scheme: Scheme = CHAINED) -> Bundle:
    """A bundle of any kind; nothing in it is signed."""
    author, signature, session = Index(draw(u32)), draw(st.binary(max_size=128)), draw(hashes)
    kind = draw(st.sampled_from([DealBundle, ResponseBundle, JustificationBundle]))
    indices = [Index(index) for index in draw(st.lists(u32, max_size=4))]
    if kind is DealBundle:
        commits = tuple(identity(at, scheme).key for at in range(draw(st.integers(0, 4))))
        deals = tuple(Deal(index, draw(st.binary(max_size=100))) for index in indices)
        return DealBundle(author, commits, deals, session, signature)
    if kind is ResponseBundle:
        responses = tuple(Response(index, draw(st.booleans())) for index in indices)
        return ResponseBundle(author, responses, session, signature)
    scalars = st.integers(0, scheme.key_group.order - 1)
    shown = tuple(Justification(index, draw(scalars).to_bytes(32, "big")) for index in indices)
    return JustificationBundle(author, shown, session, signature)


statuses = st.builds(
    NodeStatus,
    dkg=st.sampled_from(DkgState),
    reshare=st.sampled_from(ReshareState),
    is_inited=st.booleans(),
    is_running=st.booleans(),
    is_stopped=st.booleans(),
    is_started=st.booleans(),
    is_serving=st.booleans(),
    chain=st.builds(ChainStatus, is_empty=st.booleans(), last_round=u64.map(Round), length=u64),
    connections=st.dictionaries(names, st.booleans(), max_size=4),
    other_chains=st.dictionaries(names, hashes, max_size=4),
)


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of `originals` with a few bytes changed, cut out or put in."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        removed = draw(st.integers(0, 3))
        data[at : at + removed] = draw(st.binary(max_size=3))
    return bytes(data)


def assert_only_malformed(decode: Callable[[bytes], object], data: bytes) -> None:
    """Decoding gives a value or raises Malformed with a text; any other exception fails the test."""
    try:
        decode(data)
    except Malformed as error:
        text = str(error)
    else:
        return
    assert text
