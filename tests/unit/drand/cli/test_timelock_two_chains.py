"""`drand timelock` with files that are locked to two chains, of which either may open them."""

from pathlib import Path

import pytest

from drand.errors import EXIT_FAILURE, EXIT_INVALID
from drand.model.chain import Beacon, Round
from drand.timelock import TlockRecipient, encrypt_bytes
from drand.wire.http_json import beacon_json, chain_info_json
from tests.support.chain_server import serving
from tests.support.command_line import drand
from tests.support.locked_chain import LockedChain

PAST, FUTURE = 1000, 10**9
CHAIN, OTHER = LockedChain(), LockedChain(seed=2)


def locked_to_both(folder: Path, round_: int, other: int) -> Path:
    path = folder / "sealed"
    path.write_bytes(encrypt_bytes(b"a bid\n", [TlockRecipient(CHAIN.info, round_), TlockRecipient(OTHER.info, other)]))
    return path


def test_a_wait_for_one_of_two_chains_is_for_its_round(tmp_path: Path):
    sealed, chain = locked_to_both(tmp_path, 1, PAST), tmp_path / "chain.json"
    chain.write_bytes(chain_info_json(OTHER.info))
    with serving(CHAIN, OTHER) as server:
        done = drand("timelock", "wait", "--chain", chain, "--url", server.url, sealed)
        assert done.code == 0, done.err
        rounds = [path for path in server.asked if "/public/" in path and not path.endswith("latest")]
        assert rounds == [f"/{OTHER.info.hash().hex()}/public/{PAST}"]
        chain.write_bytes(chain_info_json(LockedChain(seed=3).info))
        done = drand("timelock", "wait", "--chain", chain, "--url", server.url, sealed)
        assert done.code == EXIT_FAILURE
        assert CHAIN.info.hash().hex() in done.err


@pytest.mark.parametrize(
    ("answer", "code", "word"),
    [
        (beacon_json(Beacon(Round(PAST), CHAIN.beacon(PAST + 1).signature)), EXIT_INVALID, "does not verify"),
        (b"<html>log in</html>", EXIT_FAILURE, "web page"),
    ],
    ids=["a lie", "a web page"],
)
def test_why_a_due_round_is_missing_is_told_before_a_round_of_another_chain_that_is_to_come(
    answer: bytes, code: int, word: str, tmp_path: Path
):
    sealed = locked_to_both(tmp_path, PAST, FUTURE)
    with serving(CHAIN, OTHER, answers={f"/{PAST}": answer}) as server:
        for wait in ((), ("--wait",)):
            done = drand("timelock", "decrypt", *wait, "--url", server.url, "-o", tmp_path / "opened", sealed)
            assert done.code == code, done.err
            assert server.url in done.err
            assert word in done.err
            assert "due in" not in done.err
