"""Go v1.5.11 nodes and ours in one network: two of each and a threshold of three, so that every round needs both."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.processes import OURS, Ceremony, Network, Node, Program
from tests.support.running import Running

ROUNDS = 3  # that every node has before a test looks


@dataclass(frozen=True)
class Case:
    leader: str
    scheme: str

    def __str__(self) -> str:
        return f"{self.leader}-leads-{self.scheme}"


CASES = [
    Case("go", "pedersen-bls-chained"),
    Case("python", "pedersen-bls-chained"),
    Case("go", "bls-unchained-g1-rfc9380"),
    Case("python", "bls-unchained-g1-rfc9380"),
    Case("go", "pedersen-bls-unchained"),
    Case("python", "bls-unchained-on-g1"),
]


@pytest.fixture(
    scope="module", params=[pytest.param(c, marks=pytest.mark.xdist_group(f"interop {c}")) for c in CASES], ids=str
)
def mixed(request: pytest.FixtureRequest, go: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    case: Case = request.param
    pair = [go, OURS] if case.leader == "go" else [OURS, go]
    with Network(tmp_path_factory.mktemp("mixed"), [*pair, *pair]) as network:
        network.start(case.scheme)
        network.hold(Ceremony(threshold=3, scheme=case.scheme))
        for node in network.nodes:
            node.wait_round(ROUNDS)
        yield network


def everywhere(nodes: list[Node], *arguments: str, programs: list[Program]) -> set[str]:
    """The distinct outputs of one command, asked of every node with every command line."""
    return {node.ask(*arguments, with_=program) for node in nodes for program in programs}


def test_the_group_hash_is_the_same_on_every_node(mixed: Network, go: Program):
    hashes = everywhere(mixed.nodes, "show", "group", "--hash", programs=[go, OURS])
    assert len(hashes) == 1
    assert re.fullmatch(r"[0-9a-f]{64}", hashes.pop().strip())


def test_every_node_holds_the_same_group_file(mixed: Network):
    files = {(node.beacon_folder / "groups" / "drand_group.toml").read_bytes() for node in mixed.nodes}
    assert len(files) == 1


def test_the_chain_info_is_the_same_on_every_node(mixed: Network, go: Program):
    shown = everywhere(mixed.nodes, "show", "chain-info", programs=[go, OURS])
    fetched = set()
    for node in mixed.nodes:
        for program in (go, OURS):
            command = [*program.command, "get", "chain-info", "--tls-disable", node.private]
            fetched.add(Running(command).succeed())
    assert len(shown | fetched) == 1, shown | fetched
    assert json.loads(shown.pop())["hash"] == json.loads(mixed.nodes[0].body("/info"))["hash"]


def test_every_node_serves_the_same_bytes_for_a_round_and_for_the_chain_info(mixed: Network):
    paths = ["/info", *(f"/public/{round_}" for round_ in range(1, ROUNDS + 1))]
    for path in paths:
        bodies = {node.body(path) for node in mixed.nodes}
        assert len(bodies) == 1, f"{path}: {bodies}"


def test_the_headers_agree_where_the_specification_wants_it(mixed: Network):
    same = ("content-type", "content-length", "cache-control", "last-modified", "accept-ranges")
    same += ("access-control-allow-origin",)
    for path in ("/public/1", "/info"):
        answers = [node.get(path).headers for node in mixed.nodes]
        found = {tuple(headers.get(name) for name in same) for headers in answers}
        assert len(found) == 1, f"{path}: {found}"
        assert None not in found.pop()
        assert all(headers["server"].startswith("drand/1.5.11 ") for headers in answers)
        assert all("expires" in headers for headers in answers)


def test_an_unknown_path_a_bad_round_and_an_unknown_chain_are_refused_alike(mixed: Network):
    for path in ("/", "/public/abc", "/public/1/", "/zz/public/1", "/public/+1", "/public/99999999999999999999"):
        answers = {(a.status, a.headers.get("content-type"), a.body) for a in (n.get(path) for n in mixed.nodes)}
        assert len(answers) == 1, f"{path}: {answers}"
    for path in (f"/{'ab' * 32}/public/1", f"/{'ab' * 32}/info", "/public/999999999"):
        assert {node.get(path).status for node in mixed.nodes} == {404}


def test_the_rounds_that_both_kinds_made_verify(mixed: Network):
    info = mixed.folder / "info.json"
    info.write_bytes(mixed.nodes[0].body("/info"))
    rounds = mixed.folder / "rounds.json"
    rounds.write_bytes(b"\n".join(mixed.nodes[0].body(f"/public/{round_}") for round_ in range(1, ROUNDS + 1)))
    said = Running([*OURS.command, "verify", "--chain", str(info), str(rounds)]).succeed()
    assert f"all {ROUNDS} beacons are valid" in said


def without_progress(output: str) -> str:
    """A status without the numbers that grow while the chain runs."""
    return re.sub(r'(LastRound: |"last_round":|"length":)\d+', r"\1N", output)


@pytest.mark.parametrize(
    "command",
    ["show group", "show public", "util ping", "util status", "util status --json", "util status --list-ids"],
)
def test_both_command_lines_print_the_same_about_one_daemon(mixed: Network, go: Program, command: str):
    for node in mixed.nodes[:2]:
        theirs, ours = (without_progress(node.ask(*command.split(), with_=program)) for program in (go, OURS))
        assert comparable(ours) == comparable(theirs), f"about {node.name}"


def comparable(output: str) -> object:
    """Lines in any order (Go prints maps in random order), or decoded JSON."""
    try:
        return json.loads(output)
    except ValueError:
        return sorted(line.rstrip() for line in output.splitlines() if line.strip())


def test_both_command_lines_find_every_node_with_its_identity(mixed: Network, go: Program):
    addresses = [node.private for node in mixed.nodes]
    for program in (go, OURS):
        for flags in ([], ["--id", "default"]):
            said = Running([*program.command, "util", "check", "--tls-disable", *flags, *addresses]).succeed()
            assert [f"drand: id {address} answers correctly" in said for address in addresses] == [True] * 4


def test_each_kind_reports_that_it_reaches_every_other_node(mixed: Network):
    for node in mixed.nodes:
        status = json.loads(node.ask("util", "status", "--json", with_=OURS))["beacons"]["default"]
        others = {other.private for other in mixed.nodes if other is not node}
        assert {at for at, reached in status["connections"].items() if reached} >= others


def test_our_node_learns_from_go_s_that_all_hold_the_same_chain(mixed: Network):
    ours = next(node for node in mixed.nodes if node.program is OURS)
    ours.stop()
    ours.start().wait_for("all 4 members hold the same chain")
    ours.wait_round(ROUNDS)  # the other tests count on it
    assert "holds another chain" not in ours.log
