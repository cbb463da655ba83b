"""Ceremonies in which something goes wrong: who is killed, who is silent, who is wrong, and what is said about it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.processes import Ceremony, Network, Node

PROPOSED = "group proposed"


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path, 4) as network:
        network.start()
        yield network


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path, 2) as network:
        network.start()
        yield network


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["leader", "participant"])
def test_a_node_killed_between_its_deal_and_the_end_resumes_the_ceremony(four: Network, victim: str):
    """The fourth node joins and falls silent: so the others wait out their phases, and one of them is killed then."""
    leader, first, second, silent = four.nodes
    shares = four.gather(Ceremony(threshold=3, timeout="5s"), silent)
    for node in (leader, first, second):
        assert node.daemon is not None
        node.daemon.wait_for(PROPOSED)
    killed = leader if victim == "leader" else first
    killed.kill()
    killed.start()
    hashes = set()
    for node in (leader, first, second):
        assert node.daemon is not None
        finished = node.daemon.wait_for("key generation finished")
        hashes.add(finished[finished.index('"group"') :])
    assert len(hashes) == 1, "they finished with different groups"
    for node in (leader, first, second):
        node.wait_round(2)  # three shares make a round, and there are three: the killed node has its own
    for node, share in zip((leader, first, second), shares, strict=True):
        if node is killed:
            share.refuse()  # its daemon went away under it
        else:
            share.succeed()


@contextmanager
def endless_dice(folder: Path) -> Iterator[str]:
    """A randomness script that prints nothing; when the block ends, so does its run, and later ones give randomness."""
    pipe, script = folder / "pipe", folder / "dice"
    os.mkfifo(pipe)
    script.write_text(f"#!/bin/sh\nexec cat {pipe}\n")
    script.chmod(0o755)
    yield str(script)
    honest = folder / "honest-dice"
    honest.write_text("#!/bin/sh\nexec head -c 32 /dev/urandom\n")
    honest.chmod(0o755)
    honest.replace(script)  # not written over: it may just be starting
    with suppress(OSError):  # nobody reads: it was not run
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


@pytest.mark.slow
def test_too_many_silent_nodes_end_the_ceremony_with_their_names_and_a_new_one_can_be_held(two: Network):
    leader, silent = two.nodes
    ceremony = Ceremony(threshold=2, timeout="2s")
    leading = two.lead(ceremony)
    with endless_dice(two.folder) as dice:  # whose owner cannot deal before it is killed, be it ever so quick
        joining = two.join(silent, leader, "default", "--source", dice)
        for node in two.nodes:
            assert node.daemon is not None
            node.daemon.wait_for(PROPOSED)
        silent.kill()
    said = leading.refuse()
    joining.refuse()
    assert f"at {silent.private} sent no deal" in said, said

    # the silent one is back too late: it must not take what was sent long ago for a ceremony that still runs
    silent.start().wait_for("ceremony failed")
    two.hold(ceremony)
    for node in two.nodes:
        node.wait_round(2)


@pytest.mark.slow
def test_ctrl_c_ends_the_watching_command_and_not_the_ceremony(two: Network):
    leader, participant = two.nodes
    watching = two.lead(Ceremony(threshold=2))
    watching.wait_for("participants gather")
    watching.send(signal.SIGINT)
    assert watching.wait_end() == 130
    assert "the ceremony goes on in the daemon" in watching.output
    assert "Traceback" not in watching.output
    assert "Hash of the group" in two.join(participant, leader).succeed()
    for node in two.nodes:
        node.wait_round(1)


def test_a_wrong_secret_is_refused_and_the_leader_goes_on_waiting(two: Network):
    leader, participant = two.nodes
    leading = two.lead(Ceremony(threshold=2))
    said = participant.refuses("share", *flags(participant), "--secret", "x" * 32, "--connect", leader.private)
    assert "shared secret is incorrect" in said
    assert leading.alive
    two.join(participant, leader).succeed()
    leading.succeed()


def test_a_second_node_that_claims_an_address_is_named_in_the_leaders_refusal(tmp_path: Path):
    with Network(tmp_path, 3) as network:
        leader, honest, double = network.nodes
        listens = double.private
        double.private = honest.private  # in its key file; it listens elsewhere
        for node in network.nodes:
            node.make_keys()
        double.private = listens
        for node in network.nodes:
            node.start()
        leading = network.lead(Ceremony(threshold=2))
        joining = network.join(honest, leader)
        assert leader.daemon is not None
        leader.daemon.wait_for(f'"address": "{honest.private}", "present": 2')
        said = network.join(double, leader).refuse()
        assert honest.private in said
        assert leading.alive
        assert joining.alive


def flags(node: Node) -> list[str]:
    return ["--control", node.control, "--tls-disable"]


LEAD = ["--leader", "--secret", "x" * 32]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*LEAD, "--nodes", "4", "--threshold", "2", "--period", "1s"], ["threshold of 2 for 4 nodes", "3"]),
        ([*LEAD, "--nodes", "4", "--threshold", "5", "--period", "1s"], ["threshold of 5 for 4 nodes", "4"]),
        ([*LEAD, "--nodes", "4", "--threshold", "3"], ["period"]),
        ([*LEAD, "--nodes", "4", "--period", "1s"], ["--nodes and --threshold"]),
        ([*LEAD, "--nodes", "4", "--threshold", "3", "--period", "soon"], ["soon"]),
        ([*LEAD, "--nodes", "4", "--threshold", "3", "--period", "1500ms"], ["1500ms"]),
        ([*LEAD, "--connect", "127.0.0.1:1"], ["leader and connect"]),
        (["--secret", "x" * 32], ["--connect"]),
        (["--connect", "127.0.0.1:1"], ["no secret"]),
        (["--connect", "127.0.0.1:1", "--secret", "short"], ["at least 32"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_mistyped_share_is_refused_in_one_line_that_says_why(idle: Node, arguments: list[str], words: list[str]):
    said = idle.refuses("share", *flags(idle), *arguments)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    for word in words:
        assert word in said, said


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node that has keys and no group."""
    with Network(tmp_path_factory.mktemp("idle"), 1) as network:
        network.start()
        yield network.nodes[0]
