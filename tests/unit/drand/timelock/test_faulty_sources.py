"""Beacon sources that fail: they keep no other identity from opening a file, and what is told is what can be mended."""

import pytest

from collective.errors import CollectiveError
from drand.client.errors import ClientClosed, ClockSuspect, ForgedBeacon, NotDrand, WrongRandomness
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, Round
from drand.timelock import (
    AsyncTlockIdentity,
    StillLocked,
    TlockIdentity,
    TlockRecipient,
    X25519Identity,
    decrypt_bytes,
    decrypt_bytes_async,
    encrypt_bytes,
)
from tests.support.locked_chain import LockedChain

KEY = X25519Identity(bytes(range(32)))


class Failing:
    """A source of beacons that has nothing but an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get(self, _round: Round) -> Beacon:
        raise self._error


class AsyncFailing(Failing):
    """The same, to be awaited."""

    async def get(self, round_: Round) -> Beacon:  # type: ignore[override]
        return super().get(round_)


@pytest.mark.parametrize(
    "fault",
    [
        NotDrand("http://h", "answered with a web page"),
        ForgedBeacon("http://h", "round 9"),
        WrongRandomness("http://h", "round 9"),
        ClockSuspect("an hour behind", -3600.0),
        ClientClosed("the client is closed"),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_no_fault_of_a_source_keeps_a_key_from_opening(fault: CollectiveError):
    chain = LockedChain()
    data = encrypt_bytes(b"both", [TlockRecipient(chain.info, 9), KEY.recipient])
    failing = TlockIdentity(chain.info, Failing(fault))
    failing_async = AsyncTlockIdentity(chain.info, AsyncFailing(fault))
    assert decrypt_bytes(data, [failing, KEY]) == b"both"
    assert await decrypt_bytes_async(data, [failing_async, KEY]) == b"both"
    stranger = X25519Identity(bytes(range(1, 33)))
    with pytest.raises(type(fault)):
        decrypt_bytes(data, [failing, stranger])
    with pytest.raises(type(fault)):
        await decrypt_bytes_async(data, [failing_async, stranger])


def test_a_lie_is_told_before_a_round_that_is_missing_and_both_before_one_to_come():
    due, lying, coming = LockedChain(seed=1), LockedChain(seed=2), LockedChain(seed=3, genesis_unix_s=1 << 40)
    sources = [
        TlockIdentity(coming.info, Failing(BeaconNotFound("none"))),
        TlockIdentity(due.info, Failing(NotDrand("http://h", "answered with a web page"))),
        TlockIdentity(lying.info, Failing(ForgedBeacon("http://h", "round 9"))),
    ]
    data = encrypt_bytes(b"x", [TlockRecipient(chain.info, 9) for chain in (due, lying, coming)])
    for known, error in ((3, ForgedBeacon), (2, NotDrand), (1, StillLocked)):
        with pytest.raises(error):
            decrypt_bytes(data, sources[:known])
