"""Round trips of every size and form, and what becomes of a file that was changed on its way."""

import asyncio
from io import BytesIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collective.errors import BadSetting, CollectiveError
from drand.model.chain import Beacon, Round
from drand.timelock import (
    AsyncTlockIdentity,
    DamagedArmor,
    DamagedHeader,
    DamagedPayload,
    ForgedHeader,
    NoIdentityMatched,
    NotAnAgeFile,
    TlockIdentity,
    TlockRecipient,
    WrongChain,
    X25519Identity,
    decrypt_bytes,
    decrypt_bytes_async,
    decrypt_stream,
    decrypt_stream_async,
    encrypt_bytes,
    encrypt_bytes_async,
    encrypt_stream,
    encrypt_stream_async,
)
from drand.timelock.payload import CHUNK_BYTES, NONCE_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES
from tests.support.entropy import SeededEntropy
from tests.support.locked_chain import TIMELOCK_SCHEMES, LockedChain

KEY = X25519Identity(bytes(range(32)))
SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7)
both_forms = pytest.mark.parametrize("armor", [False, True], ids=["binary", "armored"])


def content(size: int) -> bytes:
    return (b"0123456789abcde\n" * (size // 16 + 1))[:size]


def sealed(data: bytes, *, armor: bool = False, seed: int = 3) -> bytes:
    return encrypt_bytes(data, [KEY.recipient], armor=armor, entropy=SeededEntropy(seed))


def header_bytes(data: bytes) -> int:
    return data.index(b"\n", data.index(b"\n--- ") + 1) + 1


@both_forms
@pytest.mark.parametrize("size", SIZES)
def test_content_of_every_size_comes_back(size: int, armor: bool):
    data = sealed(content(size), armor=armor)
    assert data.startswith(b"-----BEGIN AGE" if armor else b"age-encryption.org/v1\n")
    assert decrypt_bytes(data, [KEY]) == content(size)


@both_forms
@pytest.mark.parametrize("scheme", TIMELOCK_SCHEMES)
def test_a_round_opens_what_was_locked_to_it(scheme: str, armor: bool):
    chain = LockedChain(scheme)
    data = encrypt_bytes(b"a bid", [TlockRecipient(chain.info, 7)], armor=armor)
    assert decrypt_bytes(data, [TlockIdentity(chain.info, chain)]) == b"a bid"
    assert chain.asked == [7]


def test_an_empty_file_is_one_empty_last_chunk():
    data = sealed(b"")
    assert len(data) == header_bytes(data) + NONCE_BYTES + TAG_BYTES
    with pytest.raises(DamagedPayload, match="cut short"):
        decrypt_bytes(data[:-TAG_BYTES], [KEY])


def test_a_file_without_a_chunk_is_empty_only_for_those_who_say_so():
    without_chunk = sealed(b"")[:-TAG_BYTES]
    assert decrypt_bytes(without_chunk, [KEY], allow_no_chunk=True) == b""
    cut_within_the_second = sealed(content(CHUNK_BYTES + 9))[: -TAG_BYTES - 9]
    for data in (without_chunk[:-1], without_chunk + b"x", cut_within_the_second):
        with pytest.raises((DamagedHeader, DamagedPayload)):
            decrypt_bytes(data, [KEY], allow_no_chunk=True)


@settings(max_examples=60, deadline=None)
@given(
    size=st.one_of(
        st.integers(0, 300),
        st.builds(lambda chunks, off: max(0, chunks * CHUNK_BYTES + off), st.integers(0, 4), st.integers(-3, 3)),
    ),
    pieces=st.lists(st.integers(1, 3 * CHUNK_BYTES), min_size=1, max_size=4),
    armor=st.booleans(),
)
def test_it_does_not_matter_in_what_pieces_a_file_is_written_or_read(size: int, pieces: list[int], armor: bool):
    class Reader:
        def __init__(self, data: bytes) -> None:
            self.stream, self.turn = BytesIO(data), 0

        def read(self, _size: int, /) -> bytes:
            self.turn += 1
            return self.stream.read(pieces[self.turn % len(pieces)])

    written, opened = BytesIO(), BytesIO()
    encrypt_stream(Reader(content(size)), written, [KEY.recipient], armor=armor, entropy=SeededEntropy(3))
    assert written.getvalue() == sealed(content(size), armor=armor)
    decrypt_stream(Reader(written.getvalue()), opened, [KEY])
    assert opened.getvalue() == content(size)


def test_each_file_has_a_key_and_a_nonce_of_its_own():
    first, second = (encrypt_bytes(b"same", [KEY.recipient]) for _ in range(2))
    assert first[-20:] != second[-20:]
    assert first[:200] != second[:200]


def test_a_file_needs_a_recipient():
    with pytest.raises(BadSetting, match="needs a recipient"):
        encrypt_bytes(b"", [])


# ---------------------------------------------------------------- changed on the way


def released_before_failing(data: bytes) -> tuple[bytes, CollectiveError]:
    out = BytesIO()
    with pytest.raises(CollectiveError) as failure:
        decrypt_stream(BytesIO(data), out, [KEY])
    assert failure.value.advice, "an error without a hint"
    return out.getvalue(), failure.value


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_file_cut_between_chunks_gives_the_chunks_before_and_then_fails(kept: int):
    data = sealed(content(3 * CHUNK_BYTES))
    released, failure = released_before_failing(data[: header_bytes(data) + NONCE_BYTES + kept * SEALED_CHUNK_BYTES])
    assert isinstance(failure, DamagedPayload)
    assert released == content(kept * CHUNK_BYTES)


def test_chunks_in_another_order_are_refused():
    data = sealed(content(3 * CHUNK_BYTES))
    start = header_bytes(data) + NONCE_BYTES
    chunks = [data[at : at + SEALED_CHUNK_BYTES] for at in range(start, len(data), SEALED_CHUNK_BYTES)]
    for order, good in (((1, 0, 2), 0), ((0, 2, 1), 1), ((0, 0, 1, 2), 1), ((0, 2), 1), ((0, 1, 2, 2), 3)):
        released, failure = released_before_failing(data[:start] + b"".join(chunks[place] for place in order))
        assert isinstance(failure, DamagedPayload)
        assert released == content(good * CHUNK_BYTES)


def test_a_chunk_of_another_file_is_refused():
    data, other = sealed(content(2 * CHUNK_BYTES)), sealed(content(2 * CHUNK_BYTES), seed=4)
    released, failure = released_before_failing(data[:-SEALED_CHUNK_BYTES] + other[-SEALED_CHUNK_BYTES:])
    assert isinstance(failure, DamagedPayload)
    assert released == content(CHUNK_BYTES)


def test_a_stanza_added_or_removed_is_noticed():
    other = X25519Identity(bytes(range(1, 33)))
    data = encrypt_bytes(b"x", [KEY.recipient, other.recipient])
    first = data.index(b"-> ")
    second = data.index(b"-> ", first + 1)
    mac = data.index(b"--- ")
    for changed in (data[:second] + data[mac:], data[:mac] + b"-> grease\n\n" + data[mac:]):
        assert isinstance(released_before_failing(changed)[1], ForgedHeader)


@settings(max_examples=300, deadline=None)
@given(
    place=st.integers(0, 10**6),
    change=st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 7)),
        st.tuples(st.just("cut"), st.integers(1, 100)),
        st.tuples(st.just("insert"), st.integers(0, 255)),
        st.tuples(st.just("stop"), st.just(0)),
    ),
    armor=st.booleans(),
)
@example(place=0, change=("stop", 0), armor=False)
@example(place=0, change=("insert", 9), armor=True)
@example(place=0, change=("insert", 10), armor=True)
def test_any_change_of_a_file_is_an_error_and_gives_no_wrong_content(place: int, change: tuple[str, int], armor: bool):
    data = sealed(content(CHUNK_BYTES + 50), armor=armor)
    place %= len(data)
    match change:
        case ("flip", bit):
            changed = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        case ("cut", count):
            changed = data[:place] + data[place + count :]
        case ("insert", value):
            changed = data[:place] + bytes([value]) + data[place:]
        case _:
            changed = data[:place]
    if changed == data or (armor and changed.replace(b"\r\n", b"\n").strip() == data.strip()):
        assert opened_or_error(changed) in (content(CHUNK_BYTES + 50), DamagedArmor)  # white space around an armor
        assert changed != data or opened_or_error(changed) != DamagedArmor
        return
    released, _ = released_before_failing(changed)
    assert content(CHUNK_BYTES + 50).startswith(released)


def opened_or_error(data: bytes) -> bytes | type[CollectiveError]:
    try:
        return decrypt_bytes(data, [KEY])
    except CollectiveError as error:
        return type(error)


@pytest.mark.parametrize(
    ("start", "end"), [(b"", b""), (b"\n\n", b"\n"), (b" \t\r\n", b" \n\t"), (b"\n" * 1000, b" " * 1000)]
)
def test_white_space_on_lines_of_its_own_around_an_armor_is_allowed(start: bytes, end: bytes):
    armored = sealed(b"x", armor=True)
    assert decrypt_bytes(start + armored + end, [KEY]) == b"x"
    assert decrypt_bytes(start + armored.replace(b"\n", b"\r\n") + end, [KEY]) == b"x"
    assert decrypt_bytes(armored.rstrip(b"\n"), [KEY]) == b"x"


@pytest.mark.parametrize(("start", "end"), [(b" ", b""), (b"\n" * 1100, b""), (b"", b" " * 1100), (b"", b"\nx")])
def test_text_or_too_much_white_space_around_an_armor_is_refused(start: bytes, end: bytes):
    assert opened_or_error(start + sealed(b"x", armor=True) + end) in (DamagedArmor, NotAnAgeFile)
    assert opened_or_error(sealed(b"x", armor=True)[:-1] + b" \n") is DamagedArmor


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=400), st.sampled_from([b"", b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----\n"])
)
def test_whatever_is_no_file_is_refused(data: bytes, start: bytes):
    with pytest.raises(CollectiveError):
        decrypt_bytes(start + data, [KEY])


def test_a_header_without_end_costs_bounded_memory():
    class Endless:
        given = 0

        def __init__(self, start: bytes, more: bytes) -> None:
            self.start, self.more = start, more

        def read(self, size: int, /) -> bytes:
            piece, self.start = self.start or (self.more * size)[:size], b""
            self.given += len(piece)
            return piece

    stanza = b"-> x " + b"a" * 60 + b"\n\n"
    for start, more, error in (
        (b"", b" ", NotAnAgeFile),
        (b"", b"\n", NotAnAgeFile),
        (b"age-encryption.org/v1\n", b"a", DamagedHeader),
        (b"age-encryption.org/v1\n", stanza, DamagedHeader),
        (b"age-encryption.org/v1\n-> x\n", b"A" * 64 + b"\n", DamagedHeader),
    ):
        reader = Endless(start, more)
        with pytest.raises(error):
            decrypt_stream(reader, BytesIO(), [KEY])
        assert reader.given < 1_000_000


# ---------------------------------------------------------------- who opens


def test_a_file_for_a_round_and_a_key_opens_with_either():
    chain = LockedChain()
    data = encrypt_bytes(b"both", [TlockRecipient(chain.info, 9), KEY.recipient])
    assert decrypt_bytes(data, [KEY]) == b"both"
    assert chain.asked == []
    assert decrypt_bytes(data, [TlockIdentity(chain.info, chain)]) == b"both"


def test_a_round_that_has_not_come_does_not_keep_a_key_from_opening():
    chain = LockedChain(latest=0)
    data = encrypt_bytes(b"both", [TlockRecipient(chain.info, 9), KEY.recipient])
    assert decrypt_bytes(data, [TlockIdentity(chain.info, chain), KEY]) == b"both"


def test_a_stranger_opens_nothing():
    stranger = X25519Identity(bytes(range(1, 33)))
    with pytest.raises(NoIdentityMatched, match="X25519"):
        decrypt_bytes(sealed(b"x"), [stranger])
    with pytest.raises(NoIdentityMatched):
        decrypt_bytes(sealed(b"x"), [])


def test_the_earliest_round_of_several_is_asked_for_first():
    chain = LockedChain(latest=20)
    data = encrypt_bytes(b"x", [TlockRecipient(chain.info, 30), TlockRecipient(chain.info, 10)])
    assert decrypt_bytes(data, [TlockIdentity(chain.info, chain)]) == b"x"
    assert chain.asked == [10]


def test_a_file_of_another_chain_is_named_as_such_before_anybody_is_asked():
    chain, other = LockedChain(), LockedChain(seed=2)
    data = encrypt_bytes(b"x", [TlockRecipient(other.info, 10)])
    with pytest.raises(WrongChain) as failure:
        decrypt_bytes(data, [TlockIdentity(chain.info, chain)])
    assert failure.value.wanted == (other.info.hash().hex(),)
    assert chain.asked == []


# ---------------------------------------------------------------- in an event loop


class AsyncPipe:
    """A reader and a writer over memory that give way at every call."""

    def __init__(self, data: bytes = b"") -> None:
        self.stream = BytesIO(data)

    async def read(self, size: int, /) -> bytes:
        await asyncio.sleep(0)
        return self.stream.read(min(size, 50_000))

    async def write(self, data: bytes, /) -> int:
        await asyncio.sleep(0)
        return self.stream.write(data)


@both_forms
@pytest.mark.parametrize("size", [0, 2 * CHUNK_BYTES + 1])
async def test_the_asynchronous_streams_write_and_read_the_same_files(size: int, armor: bool):
    written, opened = AsyncPipe(), AsyncPipe()
    await encrypt_stream_async(
        AsyncPipe(content(size)), written, [KEY.recipient], armor=armor, entropy=SeededEntropy(3)
    )
    assert written.stream.getvalue() == sealed(content(size), armor=armor)
    await decrypt_stream_async(AsyncPipe(written.stream.getvalue()), opened, [KEY])
    assert opened.stream.getvalue() == content(size)
    with pytest.raises(CollectiveError):
        await decrypt_stream_async(AsyncPipe(written.stream.getvalue()[:-40]), AsyncPipe(), [KEY])


class AsyncChain:
    """A chain's rounds, to be awaited."""

    def __init__(self, chain: LockedChain) -> None:
        self._chain = chain

    async def get(self, round_: Round) -> Beacon:
        await asyncio.sleep(0)
        return self._chain.get(round_)


@both_forms
async def test_bytes_are_locked_and_opened_in_an_event_loop_that_goes_on_with_its_work(armor: bool):
    chain, turns = LockedChain("bls-unchained-g1-rfc9380"), 0

    async def other_work() -> None:
        nonlocal turns
        while turns < 1_000_000:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.ensure_future(other_work())
    data = content(20 * CHUNK_BYTES)
    written = await encrypt_bytes_async(data, [TlockRecipient(chain.info, 7)], armor=armor)
    after_locking = turns
    assert await decrypt_bytes_async(written, [AsyncTlockIdentity(chain.info, AsyncChain(chain))]) == data
    working.cancel()
    assert after_locking >= 5
    assert turns >= after_locking + 5
    assert decrypt_bytes(written, [TlockIdentity(chain.info, chain)]) == data
    with pytest.raises(CollectiveError):
        await decrypt_bytes_async(written[:-40], [AsyncTlockIdentity(chain.info, AsyncChain(chain))])
