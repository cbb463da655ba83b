"""Real files that Go's tle and tlock-js have written, opened with the real beacons of their rounds."""

import base64
from io import BytesIO
from typing import Any

import pytest

from collective.sealing.ibe import IbeCiphertext, IdentityEncryption, NotSealedForThis
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import scheme_named
from drand.timelock import DamagedHeader, StillLocked, TlockIdentity, decrypt_bytes, inspect
from tests.support.locked_chain import StoppedClock
from tests.support.vectors import load

BEFORE_ALL_CHAINS = StoppedClock(1_600_000_000.0)
AFTER_ALL_ROUNDS = StoppedClock(2_000_000_000.0)

# The round of each file, and how its content begins; None: its beacon is not among the vectors.
FILES = {
    12040883: b"hello world",
    12041125: None,
    1624910: None,
    20000: DamagedHeader,  # written before the proof in the ciphertext changed: today's tle refuses it, too
    2: b"Hello drand World\n",
    1: b"Hello dranders\n",
    746511: None,
    5423142: None,
}


def vectors() -> Any:
    return load("drand/beacons.json")


def file_of(round_: int) -> bytes:
    for entry in vectors()["extra"]["tlock_age_files"]:
        text = "".join(entry["age_base64"].split())
        data = base64.b64decode(text + "=" * (-len(text) % 4))
        if inspect(BytesIO(data)).rounds == (round_,):
            return data
    raise AssertionError(f"no file for round {round_}")


class Archive:
    """The vectors' beacons under one key."""

    def __init__(self, public_key: bytes) -> None:
        entries = vectors()["beacons"] + [one | {"round": 1} for one in self._first_of_the_testnet(public_key)]
        self._known = {
            one["round"]: Beacon(Round(one["round"]), bytes.fromhex(one["signature"]))
            for one in entries
            if one["valid"] and one["public_key"] == public_key.hex()
        }

    def _first_of_the_testnet(self, public_key: bytes) -> list[dict[str, Any]]:
        """Round 1 of the unchained testnet is in the vectors as what opens a ciphertext; it is verified, too."""
        signature = vectors()["extra"]["ibe"][0]["beacon"]
        return (
            [{"signature": signature, "valid": True, "public_key": public_key.hex()}] if len(public_key) == 48 else []
        )

    def get(self, round_: Round) -> Beacon:
        if round_ not in self._known:
            raise BeaconNotFound(f"round {round_} is not among the vectors")
        return self._known[round_]


def chain_named_by(chain_hash: str) -> ChainInfo:
    for entry in vectors()["chains"]:
        if entry["chain_hash"] == chain_hash and entry.get("group_hash"):
            return ChainInfo(
                public_key=bytes.fromhex(entry["public_key"]),
                period_s=entry["period"],
                genesis_unix_s=entry["genesis"],
                genesis_seed=bytes.fromhex(entry["group_hash"]),
                scheme=scheme_named(entry["scheme"]),
                beacon_id=entry.get("beacon_id", "default"),
            )
    raise AssertionError(f"the vectors have no full information on the chain {chain_hash}")


def identity_for(data: bytes, clock: StoppedClock = AFTER_ALL_ROUNDS) -> TlockIdentity:
    info = chain_named_by(inspect(BytesIO(data)).chain_hashes[0])
    assert info.hash().hex() == inspect(BytesIO(data)).chain_hashes[0]
    return TlockIdentity(info, Archive(info.public_key), clock)


def test_every_file_of_the_vectors_is_looked_at():
    rounds = {inspect(BytesIO(file_of(round_))).rounds[0] for round_ in FILES}
    assert len(rounds) == len(vectors()["extra"]["tlock_age_files"]) == len(FILES)


@pytest.mark.parametrize(("round_", "content"), [(r, c) for r, c in FILES.items() if isinstance(c, bytes)])
def test_a_real_file_opens_with_the_real_beacon(round_: int, content: bytes):
    data = file_of(round_)
    assert decrypt_bytes(data, [identity_for(data)]) == content


def test_a_file_of_the_old_construction_is_refused():
    data = file_of(20000)
    with pytest.raises(DamagedHeader, match="does not open"):
        decrypt_bytes(data, [identity_for(data)])


@pytest.mark.parametrize("round_", [r for r, c in FILES.items() if c is None])
def test_a_file_whose_beacon_is_missing_is_too_early_by_the_clock_or_else_not_found(round_: int):
    data = file_of(round_)
    with pytest.raises(StillLocked) as locked:
        decrypt_bytes(data, [identity_for(data, BEFORE_ALL_CHAINS)])
    assert locked.value.round == round_
    with pytest.raises(BeaconNotFound, match="not among the vectors"):
        decrypt_bytes(data, [identity_for(data)])


def test_kybers_ciphertext_of_the_old_construction_is_refused():
    """kyber skips this vector of its own since the hash of the proof changed."""
    for entry in vectors()["extra"]["ibe"]:
        scheme = scheme_named(entry["scheme"])
        sealed = IbeCiphertext(*(bytes.fromhex(entry[name]) for name in "UVW"))
        with pytest.raises(NotSealedForThis):
            IdentityEncryption(scheme.bls, scheme.digest_hash).decrypt(bytes.fromhex(entry["beacon"]), sealed)
