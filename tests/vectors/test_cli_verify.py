"""`drand verify` on real beacons: the valid ones end with exit code 0, the broken ones with 4."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from collective.errors import Malformed
from drand.client.chains import PUBLIC_CHAINS
from drand.errors import EXIT_FAILURE, EXIT_INVALID, EXIT_OK
from drand.model.schemes import scheme_named
from tests.support.command_line import Ended, drand
from tests.support.vectors import beacon_cases, load

BUILT_IN = {"mainnet-default": "default", "quicknet": "quicknet", "fastnet": "fastnet", "evmnet": "evmnet"}


def body(vector: Any) -> dict[str, Any]:
    """The beacon as the HTTP API serves it; randomness only where the vector's source gave it."""
    found = {"round": vector["round"], "signature": vector["signature"]}
    if vector["previous_signature"]:
        found["previous_signature"] = vector["previous_signature"]
    if vector["randomness_given"]:
        found["randomness"] = vector["randomness"]
    return found


def is_malformed(vector: Any) -> bool:
    """Whether the key is no point, or the texts are no hexadecimal."""
    try:
        scheme_named(vector["scheme"]).decode_key(bytes.fromhex(vector["public_key"]))
        bytes.fromhex(vector["previous_signature"])
        return not bytes.fromhex(vector["signature"])
    except (ValueError, Malformed):
        return True


def of_chain(name: str, least: int = 1) -> list[dict[str, Any]]:
    """The valid beacons of a chain; skips where there are not `least` of them."""
    found = [body(one) for one in load("drand/beacons.json")["beacons"] if one["chain"] == name and one["valid"]]
    return found if len(found) >= least else pytest.skip(f"fewer than {least} valid beacons of {name}")


def info_v1(name: str) -> dict[str, Any]:
    """The chain information of a public chain, as v1 serves it."""
    chains = [one for one in load("drand/beacons.json")["chains"] if one["chain"] == name and one.get("group_hash")]
    chain = chains[0] if chains else pytest.skip(f"no full information on {name}")
    return {
        "public_key": chain["public_key"],
        "period": chain["period"],
        "genesis_time": chain["genesis"],
        "hash": chain["chain_hash"],
        "groupHash": chain["group_hash"],
        "schemeID": chain["scheme"],
        "metadata": {"beaconID": chain["beacon_id"]},
    }


def info_v2(name: str) -> dict[str, Any]:
    """The same, under the names of v2."""
    v1 = info_v1(name)
    return {
        "public_key": v1["public_key"],
        "period": v1["period"],
        "genesis_time": v1["genesis_time"],
        "genesis_seed": v1["groupHash"],
        "chain_hash": v1["hash"],
        "scheme": v1["schemeID"],
        "beacon_id": v1["metadata"]["beaconID"],
    }


class Files:
    """Writes what is verified, and verifies it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, *documents: Any) -> Path:
        """One document a line."""
        path = self.folder / name
        path.write_text("".join(json.dumps(document) + "\n" for document in documents))
        return path

    def verify(self, chain: str | Path, *beacons: Any) -> Ended:
        return drand("verify", "--chain", chain, self.write("beacons.json", *beacons))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize("vector", beacon_cases())
def test_each_beacon_is_judged_under_its_key(vector: Any, files: Files):
    path = files.write("beacon.json", body(vector))
    ended = drand("verify", "--public-key", vector["public_key"], "--scheme", vector["scheme"], path)
    if vector["valid"]:
        assert ended.code == EXIT_OK, ended.err
        assert f"round {vector['round']} is valid; randomness {vector['randomness']}" in ended.out
        return
    assert ended.out == ""
    if ended.code != EXIT_INVALID:  # what is no key, or no beacon at all, is an error of another kind
        assert ended.code == EXIT_FAILURE
        assert is_malformed(vector)
    else:
        assert f"round {vector['round']}" in ended.err


@pytest.mark.parametrize("chain", BUILT_IN)
def test_the_beacons_of_a_built_in_chain_need_no_key(chain: str, files: Files):
    vectors = load("drand/beacons.json")
    listed = [one for one in vectors["chains"] if one["chain"] == chain]
    published = listed[0] if listed else pytest.skip(f"no chain {chain} among the vectors")
    of_this = [
        one for one in vectors["beacons"] if all(one[name] == published[name] for name in ("scheme", "public_key"))
    ]
    judged = [one for one in of_this if not is_malformed(one)]
    for vector in judged:
        for name in (BUILT_IN[chain], published["chain_hash"]):
            assert files.verify(name, body(vector)).code == (EXIT_OK if vector["valid"] else EXIT_INVALID)
    if not judged:
        pytest.skip(f"no vector of {chain}")


@pytest.mark.parametrize("name", ["mainnet-default", "fastnet"])
def test_one_object_a_line_an_array_and_standard_input_say_the_same(
    name: str, files: Files, monkeypatch: pytest.MonkeyPatch
):
    beacons = of_chain(name, least=2)
    rounds = [beacon["round"] for beacon in beacons]
    wanted = f"all {len(beacons)} beacons are valid, rounds {min(rounds)} to {max(rounds)}\n"
    assert files.verify(BUILT_IN[name], *beacons).out == wanted
    assert files.verify(BUILT_IN[name], beacons).out == wanted
    pretty = files.folder / "pretty.json"
    pretty.write_text(json.dumps(beacons, indent=4))
    assert drand("verify", "--chain", BUILT_IN[name], pretty).out == wanted
    lines = "\n".join(json.dumps(beacon) for beacon in beacons).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert drand("verify", "--chain", BUILT_IN[name]).out == wanted


def test_one_bad_beacon_among_many_is_named_and_counted(files: Files):
    beacons = of_chain("fastnet")
    stranger = of_chain("quicknet")[0]
    ended = files.verify("fastnet", *beacons, stranger)
    assert ended.code == EXIT_INVALID
    assert f"invalid: round {stranger['round']}: " in ended.err
    assert f"error: 1 of {len(beacons) + 1} beacons are not valid on this chain" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("info", [info_v1, info_v2])
@pytest.mark.parametrize("name", ["mainnet-default", "quicknet", "testnet-unchained-3s"])
def test_the_chain_may_be_a_file_of_v1_or_of_v2_with_or_without_its_hash(name: str, info: Any, files: Files):
    fields = info(name)
    assert files.verify(files.write("info.json", fields), *of_chain(name)).code == EXIT_OK
    without = {key: value for key, value in fields.items() if key not in ("hash", "chain_hash")}
    assert files.verify(files.write("info.json", without), *of_chain(name)).code == EXIT_OK


@pytest.mark.parametrize(("info", "field"), [(info_v1, "hash"), (info_v2, "chain_hash")])
def test_a_chain_file_whose_hash_is_not_its_own_is_refused(info: Any, field: str, files: Files):
    wrong = info("quicknet") | {field: "00" * 32}
    ended = files.verify(files.write("info.json", wrong), *of_chain("quicknet"))
    assert ended.code == EXIT_INVALID
    assert "chain hash" in ended.err
    assert ended.hints


def test_randomness_that_is_not_the_signatures_hash_is_refused(files: Files):
    beacon = of_chain("quicknet")[0] | {"randomness": "00" * 32}
    ended = files.verify("quicknet", beacon)
    assert ended.code == EXIT_INVALID
    assert "randomness" in ended.err


def test_an_unknown_chain_is_told_which_ones_are_built_in(files: Files):
    ended = files.verify("mainnet", *of_chain("quicknet"))
    assert ended.code == EXIT_FAILURE
    assert all(name in ended.err for name in PUBLIC_CHAINS)
    assert ended.hints


@pytest.mark.parametrize("text", ["", "\n\n", "[]"])
def test_no_beacon_at_all_is_an_error(text: str, tmp_path: Path):
    path = tmp_path / "empty.json"
    path.write_text(text)
    ended = drand("verify", "--chain", "quicknet", path)
    assert ended.code == EXIT_FAILURE
    assert "there is no beacon in the input" in ended.err
    assert ended.hints


@pytest.mark.parametrize(
    "text", ["{", "nonsense", '{"round": -1, "signature": "00"}', '{"round": 1}', '{"round": "1"}']
)
def test_what_is_no_beacon_is_an_error_and_no_traceback(text: str, tmp_path: Path):
    path = tmp_path / "bad.json"
    path.write_text(text)
    ended = drand("verify", "--chain", "quicknet", path)
    assert ended.code == EXIT_FAILURE
    assert ended.hints


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "name the chain"),
        (("--chain", "quicknet", "--public-key", "00"), "name the chain"),
        (("--public-key", "00" * 48), "--public-key needs --scheme"),
        (("--public-key", "00" * 47, "--scheme", "pedersen-bls-chained"), "96 hexadecimal digits"),
        (("--public-key", "00" * 48, "--scheme", "rsa"), "rsa"),
        (("--chain", "quicknet", "--scheme", "pedersen-bls-chained"), "the chain's scheme is"),
    ],
)
def test_a_chain_is_named_in_exactly_one_way(arguments: tuple[str, ...], text: str, tmp_path: Path):
    path = tmp_path / "beacon.json"
    path.write_text("{}")
    ended = drand("verify", *arguments, path)
    assert ended.code == EXIT_FAILURE
    assert text in ended.err
    assert ended.hints


def test_a_missing_file_is_a_wrong_use():
    assert drand("verify", "--chain", "quicknet", "/no/such/file").code == 2
