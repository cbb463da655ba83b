"""Go's `tle`, named by TLE_GO, and ours: what one locks the other opens, for every scheme and both forms."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drand.timelock import TlockIdentity, TlockRecipient, X25519Identity, decrypt_bytes, encrypt_bytes
from tests.support.chain_server import ChainServer, serving
from tests.support.locked_chain import TIMELOCK_SCHEMES, LockedChain

VARIABLE = "TLE_GO"
CHAINS = {name: LockedChain(name, beacon_id=f"locked{place}") for place, name in enumerate(TIMELOCK_SCHEMES)}
ROUND = 7
CHUNK = 65536
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 10_000_000)

pytestmark = pytest.mark.interop
forms = pytest.mark.parametrize("armor", [False, True], ids=["binary", "armored"])
schemes = pytest.mark.parametrize("scheme", TIMELOCK_SCHEMES)


@pytest.fixture(scope="module")
def server() -> Iterator[ChainServer]:
    with serving(*CHAINS.values()) as server:
        yield server


@pytest.fixture(scope="module")
def tle() -> str:
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"no {VARIABLE}: the path of a tle binary")
    return named


def run_tle(tle: str, server: ChainServer, chain: LockedChain, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [tle, "-n", server.url, "-c", chain.info.hash().hex(), *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@forms
@schemes
@pytest.mark.parametrize("size", SIZES)
def test_what_tle_locks_we_open(tle: str, server: ChainServer, tmp_path: Path, scheme: str, size: int, armor: bool):
    chain = CHAINS[scheme]
    plain, locked = tmp_path / "plain", tmp_path / "locked"
    plain.write_bytes(content(size))
    flags = ["-a"] if armor else []
    done = run_tle(tle, server, chain, "-e", "-f", "-r", str(ROUND), *flags, "-o", str(locked), str(plain))
    assert done.returncode == 0, done.stderr.decode()
    assert decrypt_bytes(locked.read_bytes(), [TlockIdentity(chain.info, chain)]) == content(size)


@forms
@schemes
@pytest.mark.parametrize("size", SIZES)
def test_what_we_lock_tle_opens(tle: str, server: ChainServer, tmp_path: Path, scheme: str, size: int, armor: bool):
    chain = CHAINS[scheme]
    plain, locked = tmp_path / "plain", tmp_path / "locked"
    locked.write_bytes(encrypt_bytes(content(size), [TlockRecipient(chain.info, ROUND)], armor=armor))
    done = run_tle(tle, server, chain, "-d", "-o", str(plain), str(locked))
    assert done.returncode == 0, done.stderr.decode()
    assert plain.read_bytes() == content(size)


def test_tle_opens_a_file_that_a_key_opens_too(tle: str, server: ChainServer, tmp_path: Path):
    chain, key = CHAINS["bls-unchained-g1-rfc9380"], X25519Identity(bytes(range(32)))
    locked = tmp_path / "locked"
    locked.write_bytes(encrypt_bytes(b"both", [key.recipient, TlockRecipient(chain.info, ROUND)]))
    done = run_tle(tle, server, chain, "-d", str(locked))
    assert (done.returncode, done.stdout) == (0, b"both"), done.stderr.decode()


def test_tle_finds_damage_where_we_do(tle: str, server: ChainServer, tmp_path: Path):
    chain = CHAINS["bls-unchained-g1-rfc9380"]
    locked = tmp_path / "locked"
    locked.write_bytes(encrypt_bytes(content(CHUNK + 1), [TlockRecipient(chain.info, ROUND)])[:-17])
    assert run_tle(tle, server, chain, "-d", "-o", str(tmp_path / "plain"), str(locked)).returncode != 0
