"""The tlock stanza: what it says, whom it refuses, and what its rounds come from."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from collective.errors import BadSetting, CollectiveError, Unavailable
from drand.errors import BeaconNotFound, InvalidBeacon
from drand.model.chain import Beacon, Round
from drand.timelock import (
    AsyncTlockIdentity,
    DamagedHeader,
    StillLocked,
    TlockIdentity,
    TlockRecipient,
    TooEarly,
    UnsuitableChain,
    WrongChain,
)
from drand.timelock.header import Stanza
from drand.timelock.tlock import TlockStanza
from tests.support.entropy import SeededEntropy
from tests.support.locked_chain import TIMELOCK_SCHEMES, LockedChain, StoppedClock

KEY = bytes(range(16))
CHAIN = LockedChain()
BODY_BYTES = dict(zip(TIMELOCK_SCHEMES, (80, 128, 128, 160), strict=True))


def stanza(round_: int = 7, chain: LockedChain = CHAIN) -> Stanza:
    return TlockRecipient(chain.info, round_).wrap(KEY, SeededEntropy(1))


@pytest.mark.parametrize("scheme", TIMELOCK_SCHEMES)
def test_a_stanza_names_round_and_chain_and_has_the_length_of_its_scheme(scheme: str):
    chain = LockedChain(scheme)
    wrapped = stanza(7, chain)
    assert (wrapped.type, wrapped.args) == ("tlock", ("7", chain.info.hash().hex()))
    assert len(wrapped.body) == BODY_BYTES[scheme]
    assert TlockIdentity(chain.info, chain).unwrap([Stanza("other", (), b""), wrapped]) == KEY


def test_a_header_without_tlock_stanzas_is_nothing_for_a_round():
    assert TlockIdentity(CHAIN.info, CHAIN).unwrap([Stanza("X25519", ("x",), b"")]) is None


@pytest.mark.parametrize("round_", ["", "0", "-1", "+7", "07", "7.0", str(2**64), "9" * 21, "٧", "seven"])
def test_a_round_in_another_form_is_refused(round_: str):
    with pytest.raises(DamagedHeader, match="round"):
        TlockStanza.parse(replace(stanza(), args=(round_, CHAIN.info.hash().hex())))


@pytest.mark.parametrize("chain_hash", ["", "00", "0" * 63, "0" * 65, CHAIN.info.hash().hex().upper(), "g" * 64])
def test_a_chain_hash_in_another_form_is_refused(chain_hash: str):
    with pytest.raises(DamagedHeader, match="chain hash"):
        TlockStanza.parse(replace(stanza(), args=("7", chain_hash)))


@pytest.mark.parametrize("args", [(), ("7",), ("7", "0" * 64, "x")])
def test_another_number_of_arguments_is_refused(args: tuple[str, ...]):
    with pytest.raises(DamagedHeader, match="arguments"):
        TlockStanza.parse(replace(stanza(), args=args))


@pytest.mark.parametrize(
    "change",
    [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b"", lambda b: b"\xff" * len(b), lambda b: b[:-1] + b"\x99",
     lambda b: bytes([b[0] ^ 0x20]) + b[1:]],
)  # fmt: skip
def test_a_changed_body_does_not_open(change: Callable[[bytes], bytes]):
    with pytest.raises(DamagedHeader):
        TlockIdentity(CHAIN.info, CHAIN).unwrap([replace(stanza(), body=change(stanza().body))])


def test_a_chained_chain_can_neither_lock_nor_open():
    chained = replace(
        LockedChain("pedersen-bls-unchained").info, scheme=LockedChain("pedersen-bls-chained").info_scheme
    )
    with pytest.raises(UnsuitableChain, match="chained"):
        TlockRecipient(chained, 7)
    with pytest.raises(UnsuitableChain, match="chained"):
        TlockIdentity(chained, CHAIN)


@pytest.mark.parametrize("round_", [0, -1, 2**64, 2**64 - 1])
def test_there_is_no_lock_to_a_round_that_never_comes(round_: int):
    with pytest.raises(BadSetting, match="no round"):
        TlockRecipient(CHAIN.info, round_)


@dataclass
class Source:
    """Answers as it is told, in an event loop or not."""

    answer: Beacon | Exception

    def get(self, _round: Round) -> Beacon:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class AsyncSource:
    answer: Beacon | Exception

    async def get(self, round_: Round) -> Beacon:
        return Source(self.answer).get(round_)


async def unwrapped(answer: Beacon | Exception, now: float, stanzas: list[Stanza]) -> bytes | None:
    """What both kinds of identities say; they must agree."""
    clock = StoppedClock(now)
    said: list[bytes | CollectiveError | None] = []
    try:
        said.append(TlockIdentity(CHAIN.info, Source(answer), clock).unwrap(stanzas))
    except CollectiveError as error:
        said.append(error)
    try:
        said.append(await AsyncTlockIdentity(CHAIN.info, AsyncSource(answer), clock).unwrap(stanzas))
    except CollectiveError as error:
        said.append(error)
    first, second = said
    if isinstance(first, CollectiveError):
        assert (type(first), str(first)) == (type(second), str(second))
        raise first
    assert first == second
    return first


DUE = CHAIN.info.schedule.due_unix_s(7)


async def test_the_rounds_beacon_opens_whatever_the_clock_says():
    assert await unwrapped(CHAIN.beacon(7), DUE - 1e6, [stanza()]) == KEY
    assert await unwrapped(CHAIN.beacon(7), DUE, []) is None


@pytest.mark.parametrize("reason", [BeaconNotFound("no"), TooEarly("no"), Unavailable("no")])
async def test_a_missing_beacon_is_too_early_before_its_time_and_the_sources_own_reason_after(reason: Exception):
    with pytest.raises(StillLocked, match="due in 10 s") as locked:
        await unwrapped(reason, DUE - 10, [stanza()])
    assert (locked.value.round, locked.value.opens_unix_s) == (7, DUE)
    with pytest.raises(type(reason), match="no"):
        await unwrapped(reason, DUE, [stanza()])


async def test_a_beacon_of_another_round_or_with_another_signature_is_refused():
    with pytest.raises(InvalidBeacon, match="round 8 was given"):
        await unwrapped(CHAIN.beacon(8), DUE, [stanza()])
    with pytest.raises(InvalidBeacon):
        await unwrapped(Beacon(Round(7), CHAIN.beacon(8).signature), DUE, [stanza()])
    with pytest.raises(InvalidBeacon):
        await unwrapped(Beacon(Round(7), b""), DUE, [stanza()])


async def test_a_stanza_of_another_chain_is_passed_over_where_one_of_ours_is_there():
    other = stanza(7, LockedChain(seed=2))
    assert await unwrapped(CHAIN.beacon(7), DUE, [other, stanza()]) == KEY
    with pytest.raises(WrongChain):
        await unwrapped(CHAIN.beacon(7), DUE, [other])
