"""Real files that Go's tle and tlock-js have written, opened with the real beacons of their rounds."""

import base64
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest

from collective.sealing.ibe import IbeCiphertext, IdentityEncryption, NotSealedForThis
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import scheme_named
from drand.timelock import DamagedHeader, StillLocked, TlockIdentity, decrypt_bytes, inspect
from tests.support.locked_chain import StoppedClock
from tests.support.vectors import extra, extra_cases, load

BEFORE_ALL_CHAINS = StoppedClock(1_600_000_000.0)
AFTER_ALL_ROUNDS = StoppedClock(2_000_000_000.0)

# How the content of some files begins, by SHA-256 of the file; the vectors do not say it.
BEGINNINGS = {
    "e8da9bf2582a27acd40d1c118895dfd87c91bc254e5197de46349a079655de0a": b"hello world",
    "49364b47f8228d3d9495809585c3d320f05b402de6de76155aa7517bc2f17c3a": b"Hello drand World\n",
    "1973c1fb8c4e246402d589301b1dfa0a0c1e3c18d8d41284078289d5a1a32658": b"Hello dranders\n",
}

# Written before the proof in the ciphertext changed: today's tle refuses it, too.
OF_THE_OLD_CONSTRUCTION = {
    "7f3daa914fea1e82f62831f274f431055e3efd601f1b9c0cf211a0289c74d8f5",
}


def vectors() -> Any:
    return load("drand/beacons.json")


def file_in(entry: dict[str, Any]) -> bytes:
    text = "".join(entry["age_base64"].split())
    return base64.b64decode(text + "=" * (-len(text) % 4))


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
        opening = vectors()["extra"].get("ibe", []) if len(public_key) == 48 else []
        return [{"signature": one["beacon"], "valid": True, "public_key": public_key.hex()} for one in opening]

    def knows(self, round_: int) -> bool:
        return round_ in self._known

    def get(self, round_: Round) -> Beacon:
        if not self.knows(round_):
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
    return pytest.skip(f"the vectors have no full information on the chain {chain_hash}")


def chain_of(data: bytes) -> ChainInfo:
    (chain_hash,) = inspect(BytesIO(data)).chain_hashes
    info = chain_named_by(chain_hash)
    assert info.hash().hex() == chain_hash
    return info


def archive_for(data: bytes) -> Archive:
    return Archive(chain_of(data).public_key)


def identity_for(data: bytes, clock: StoppedClock = AFTER_ALL_ROUNDS) -> TlockIdentity:
    return TlockIdentity(chain_of(data), archive_for(data), clock)


@pytest.mark.parametrize("entry", extra_cases("tlock_age_files"))
def test_a_real_file_opens_with_the_real_beacon_and_only_with_it(entry: dict[str, Any]):
    """Where its beacon is not among the vectors, it is too early for it by the clock, or else it is not found."""
    data = file_in(entry)
    (round_,) = inspect(BytesIO(data)).rounds
    identity = identity_for(data)
    if not archive_for(data).knows(round_):
        with pytest.raises(StillLocked) as told:
            decrypt_bytes(data, [identity_for(data, BEFORE_ALL_CHAINS)])
        assert told.value.round == round_
        with pytest.raises(BeaconNotFound, match="not among the vectors"):
            decrypt_bytes(data, [identity])
    elif sha256(data).hexdigest() in OF_THE_OLD_CONSTRUCTION:
        with pytest.raises(DamagedHeader, match="does not open"):
            decrypt_bytes(data, [identity])
    else:
        assert decrypt_bytes(data, [identity]).startswith(BEGINNINGS.get(sha256(data).hexdigest(), b""))


def test_kybers_ciphertext_of_the_old_construction_is_refused():
    """kyber skips this vector of its own since the hash of the proof changed."""
    for entry in extra("ibe"):
        scheme = scheme_named(entry["scheme"])
        sealed = IbeCiphertext(*(bytes.fromhex(entry[name]) for name in "UVW"))
        with pytest.raises(NotSealedForThis):
            IdentityEncryption(scheme.bls, scheme.digest_hash).decrypt(bytes.fromhex(entry["beacon"]), sealed)
