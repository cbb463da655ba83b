"""A beacon process that dies at any moment, and what it comes back with."""

import pytest

from collective.errors import OutOfTurn
from drand.errors import InvalidGroup
from drand.model.records import Phase
from drand.protocol.ceremony_view import State
from drand.protocol.steps import (
    Restarted,
)
from tests.support.network import (
    Network,
    finished,
    running_network,
)


@pytest.mark.parametrize("phase", [Phase.DEALING, Phase.RESPONDING, Phase.FINISHED])
@pytest.mark.parametrize("victim", [0, 2])
def test_a_crash_in_any_phase_of_the_key_generation_loses_nothing(phase, victim):
    network = Network(5)
    network.ceremony(threshold=3)
    network.run_until(
        lambda: network.nodes[victim].ceremony.phase is phase and network.nodes[victim].state is State.GENERATING, 30
    )
    network.kill(victim)
    network.start(victim)
    assert network.nodes[victim].state is State.GENERATING
    network.run_until(lambda: finished(network), 60)
    assert finished(network)
    assert {len(node.epoch.group.nodes) for node in network.nodes.values()} == {5}
    assert len({node.epoch.group.hash() for node in network.nodes.values()}) == 1


@pytest.mark.parametrize("victim", [0, 2])
def test_a_crash_after_any_single_effect_loses_nothing_that_was_stored(victim):
    """The rest of a step is never carried out, at every place where that can happen; half a second later it is back."""
    for effects in range(1, 1000):
        network = Network(4)
        network.start()
        network.crash_after[victim] = effects
        network.lead(threshold=3)
        for number in set(network.nodes) - {0}:
            network.join(number)
        network.run_until(lambda network=network: victim not in network.nodes, 5)
        if victim in network.nodes:
            assert finished(network)
            break
        ceremony_stored = bool(network.disks[victim].journal) or network.disks[victim].epoch is not None
        network.run(0.5)
        network.start(victim)
        network.run(150)
        others = [network.nodes[number].state for number in range(4) if number != victim]
        mine = network.nodes[victim].state
        if ceremony_stored:
            assert (mine, set(others)) == (State.RUNNING, {State.RUNNING}), effects
            assert len({network.nodes[number].epoch.group.hash() for number in range(4)}) == 1
            assert len(network.nodes[victim].epoch.group.nodes) == 4
            rounds = [network.rounds(number) for number in range(4)]
            assert min(rounds) > 10
            assert max(rounds) - min(rounds) <= 1
        else:
            assert mine is State.IDLE
            assert len({node.epoch.group.hash() for node in network.nodes.values() if node.epoch is not None}) <= 1
    assert effects > 20


def test_a_killed_node_is_back_in_the_chain_within_two_periods():
    network = running_network(5, 3)
    group = network.nodes[0].epoch.group
    network.run(group.genesis_unix_s + 20 - network.now)
    epoch, head = network.nodes[3].epoch, network.nodes[3].head
    network.kill(3)
    network.run(15)
    network.start(3)
    assert network.nodes[3].epoch == epoch
    assert network.nodes[3].head == head
    network.run(2 * group.period_s)
    assert network.rounds(3) == network.rounds(0)
    assert network.disks[3].beacons == network.disks[0].beacons


def test_records_of_another_key_or_another_beacon_are_refused():
    network = running_network(3, 2)
    records = network.disks[0].records()
    other = Network(3, beacon_id="other")
    other.start()
    with pytest.raises(InvalidGroup, match="the stored group is of beacon 'default', not 'other'"):
        other.step(0, Restarted(records))
    strangers = Network(5)
    strangers.start()
    with pytest.raises(InvalidGroup, match="has no place for our key") as caught:
        strangers.step(4, Restarted(records))
    assert "drand util reset" in caught.value.advice
    with pytest.raises(InvalidGroup, match="has no place for our key"):
        strangers.step(1, Restarted(records))  # a member, but at another index
    assert strangers.nodes[1].state is State.IDLE


def test_a_process_restarts_only_once():
    network = running_network(3, 2)
    with pytest.raises(OutOfTurn, match="restarts once"):
        network.step(0, Restarted(()))
