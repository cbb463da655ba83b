"""A node changes its program and keeps its folder: what one wrote, the other reads, and the chain goes on with it."""

from pathlib import Path

import pytest

from tests.support.processes import OURS, Ceremony, Network, Node, Program

SCHEMES = ["pedersen-bls-chained", "bls-unchained-g1-rfc9380"]


def change_program(node: Node, program: Program) -> None:
    """Stop the node and start the other program on its folder."""
    node.stop()
    node.program = program
    node.start()


def rounds_after(node: Node, count: int) -> int:
    """Wait until `node` has stored `count` rounds more than it has now; returns the last."""
    now = node.get("/public/latest").json()["round"]
    return node.wait_round(now + count)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_go_takes_over_our_folder_and_we_take_over_that_of_go(go: Program, scheme: str, tmp_path: Path):
    with Network(tmp_path, [OURS, go, OURS, go]) as network:
        network.start(scheme)
        network.hold(Ceremony(threshold=3, scheme=scheme))
        ours, theirs, spare, witness = network.nodes
        witness.wait_round(2)

        change_program(ours, go)
        change_program(theirs, OURS)
        assert "adopted group and share" in theirs.log
        spare.stop()  # of four, the three that are left are needed: both that changed, and the witness
        last = rounds_after(witness, 3)
        bodies = {node.body(f"/public/{last}") for node in (witness, theirs) if node.wait_round(last)}
        assert len(bodies) == 1
        assert len({node.ask("show", "group", "--hash") for node in (ours, theirs, witness)}) == 1

        # and back again: our record of the epoch and the rounds we knew are still there
        change_program(ours, OURS)
        change_program(theirs, go)
        last = rounds_after(witness, 3)
        for node in (ours, theirs):
            node.wait_round(last)
        assert {node.body("/public/1") for node in (ours, theirs)} == {witness.body("/public/1")}
        assert {node.body(f"/public/{last}") for node in (ours, theirs)} == {witness.body(f"/public/{last}")}


@pytest.mark.parametrize("order", ["python among go", "go among python"])
def test_a_killed_node_catches_up_from_the_other_kind(go: Program, order: str, tmp_path: Path):
    programs = [go, go, OURS] if order == "python among go" else [OURS, OURS, go]
    with Network(tmp_path, programs) as network:
        network.start()
        network.hold(Ceremony(threshold=2))
        witness, _, lonely = network.nodes
        lonely.wait_round(2)
        lonely.kill()
        missed = rounds_after(witness, 4)
        lonely.start()
        lonely.wait_round(missed + 2)
        for round_ in range(1, missed + 2):
            assert lonely.body(f"/public/{round_}") == witness.body(f"/public/{round_}")


def test_a_chain_that_halted_goes_on_with_both_kinds_without_a_gap(go: Program, tmp_path: Path):
    with Network(tmp_path, [OURS, go, OURS, go]) as network:
        network.start()
        network.hold(Ceremony(threshold=3))
        ours, _, *killed = network.nodes
        ours.wait_round(2)
        for node in killed:
            node.kill()
        halted = ours.get("/public/latest").json()["round"]
        ours.daemon.wait_for("chain is behind")
        for node in killed:
            node.start()
        for node in network.nodes:
            node.wait_round(halted + 5)
        for round_ in range(1, halted + 6):
            assert len({node.body(f"/public/{round_}") for node in network.nodes}) == 1
