"""npm's `tlock-js` and ours: what one locks the other opens, for its three schemes and both forms."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drand.timelock import DamagedPayload, TlockIdentity, TlockRecipient, X25519Identity, decrypt_bytes, encrypt_bytes
from tests.support.chain_server import ChainServer, serving
from tests.support.locked_chain import LockedChain

HERE = Path(__file__).parent
SCHEMES = ("pedersen-bls-unchained", "bls-unchained-on-g1", "bls-unchained-g1-rfc9380")  # all that it has
CHAINS = {name: LockedChain(name, beacon_id=f"locked{place}") for place, name in enumerate(SCHEMES)}
MAIN = "bls-unchained-g1-rfc9380"
ROUND = 7
CHUNK = 65536
SIZES = (1, CHUNK - 1, CHUNK, CHUNK + 1)
CASES = [(MAIN, size) for size in (*SIZES, 10_000_000)] + [(name, CHUNK + 1) for name in SCHEMES if name != MAIN]

pytestmark = pytest.mark.xdist_group("tlock-js")
cases = pytest.mark.parametrize(("scheme", "size"), CASES)


@pytest.fixture(scope="module")
def node() -> str:
    """The JavaScript runtime; without it, or without the library, the tests are skipped."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / "tlock-js").is_dir():
        pytest.skip("tlock-js is not installed: run `npm ci` in tests/clients")
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[ChainServer]:
    with serving(*CHAINS.values()) as server:
        yield server


class Script:
    """check_tlock.mjs for one chain."""

    def __init__(self, node: str, server: ChainServer, chain: LockedChain) -> None:
        info = chain.info
        self._start = [node, str(HERE / "check_tlock.mjs")]
        self._chain = [server.url, info.hash().hex(), info.public_key.hex()]

    def run(self, verb: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*self._start, verb, *self._chain, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def lock(self, content: bytes, folder: Path) -> dict[str, bytes]:
        plain, forms = folder / "plain", {name: folder / name for name in ("binary", "armored")}
        plain.write_bytes(content)
        done = self.run("lock", ROUND, plain, *forms.values())
        assert done.returncode == 0, done.stderr
        return {name: path.read_bytes() for name, path in forms.items()}

    def open(self, data: bytes, folder: Path) -> bytes:
        locked, plain = folder / "locked", folder / "opened"
        locked.write_bytes(data)
        done = self.run("open", locked, plain)
        assert done.returncode == 0, done.stderr
        return plain.read_bytes()


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@cases
def test_what_tlock_js_locks_we_open(node: str, server: ChainServer, tmp_path: Path, scheme: str, size: int):
    chain = CHAINS[scheme]
    for form, data in Script(node, server, chain).lock(content(size), tmp_path).items():
        assert decrypt_bytes(data, [TlockIdentity(chain.info, chain)]) == content(size), form


@cases
def test_what_we_lock_tlock_js_opens(node: str, server: ChainServer, tmp_path: Path, scheme: str, size: int):
    chain = CHAINS[scheme]
    for armor in (False, True):
        data = encrypt_bytes(content(size), [TlockRecipient(chain.info, ROUND)], armor=armor)
        assert Script(node, server, chain).open(data, tmp_path) == content(size)


def test_tlock_js_opens_our_empty_file_and_we_its_own_when_told_to(node: str, server: ChainServer, tmp_path: Path):
    """It writes no chunk at all for empty content. The format (and C2SP's vector stream_no_chunks) calls that a file
    cut short, and so it is for us unless we are told otherwise: any file could be cut to it."""
    chain = CHAINS[MAIN]
    script = Script(node, server, chain)
    for armor in (False, True):
        assert script.open(encrypt_bytes(b"", [TlockRecipient(chain.info, ROUND)], armor=armor), tmp_path) == b""
    for data in script.lock(b"", tmp_path).values():
        with pytest.raises(DamagedPayload) as refusal:
            decrypt_bytes(data, [TlockIdentity(chain.info, chain)])
        assert "tlock-js" in refusal.value.advice
        assert decrypt_bytes(data, [TlockIdentity(chain.info, chain)], allow_no_chunk=True) == b""


def test_tlock_js_opens_a_file_that_a_key_opens_too(node: str, server: ChainServer, tmp_path: Path):
    chain, key = CHAINS[MAIN], X25519Identity(bytes(range(32)))
    data = encrypt_bytes(b"both", [key.recipient, TlockRecipient(chain.info, ROUND)])
    assert Script(node, server, chain).open(data, tmp_path) == b"both"


def test_tlock_js_notices_a_changed_file_of_ours(node: str, server: ChainServer, tmp_path: Path):
    data = encrypt_bytes(content(300), [TlockRecipient(CHAINS[MAIN].info, ROUND)])
    (tmp_path / "locked").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = Script(node, server, CHAINS[MAIN]).run("open", tmp_path / "locked", tmp_path / "plain")
    assert done.returncode == 1
    assert not (tmp_path / "plain").exists()
