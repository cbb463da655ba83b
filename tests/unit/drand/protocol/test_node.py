"""The machine of one beacon id: from setup through key generation to rounds, and back after a crash."""

from dataclasses import replace

import pytest

from collective.machine import Persist
from drand.errors import InvalidGroup
from drand.model.packets import DkgPacket, GroupPush
from drand.model.records import CeremonyStarted, EpochStarted, Phase
from drand.model.schemes import scheme_named
from drand.model.vault_messages import OpenEpoch
from drand.protocol.ceremony_view import State
from drand.protocol.steps import (
    AskVault,
    CeremonyFailed,
    CeremonyFinished,
    GroupProposed,
    Noted,
    Received,
    Report,
)
from tests.support.committee import TOY_CHAINED, TOY_UNCHAINED
from tests.support.network import (
    START_S,
    Network,
    a_bundle,
    finished,
    generating_network,
    running_network,
    without_bundles_from,
)

# ---------------------------------------------------------------- all is well


@pytest.mark.parametrize("scheme", [TOY_CHAINED, TOY_UNCHAINED])
def test_five_nodes_make_a_key_and_twenty_rounds(scheme):
    network = Network(5, scheme=scheme)
    network.ceremony(threshold=3)
    network.run_until(lambda: all(network.rounds(number) >= 20 for number in range(5)), 200)
    chains = [network.disks[number].beacons[:21] for number in range(5)]
    assert all(chain == chains[0] for chain in chains)
    assert [beacon.round for beacon in chains[0]] == list(range(21))
    epochs = [network.nodes[number].epoch for number in range(5)]
    assert len({epoch.group.hash() for epoch in epochs}) == 1
    assert sorted(epoch.index for epoch in epochs) == [0, 1, 2, 3, 4]
    assert network.refused == []


@pytest.mark.parametrize("name", ["pedersen-bls-chained", "bls-unchained-g1-rfc9380"])
def test_three_nodes_make_a_key_and_three_rounds_on_the_real_curve(name):
    scheme = scheme_named(name)
    network = Network(3, scheme=scheme)
    network.ceremony(threshold=2, period_s=1, timeout_s=1)
    network.run_until(lambda: all(network.rounds(number) >= 3 for number in range(3)), 30)
    info = network.nodes[0].epoch.group.chain_info()
    for beacon in network.disks[2].beacons[1:4]:
        digest = scheme.digest(beacon.round, beacon.previous_signature)
        scheme.bls.verify(scheme.decode_key(info.public_key), digest, beacon.signature)
    assert network.disks[2].beacons[:4] == network.disks[1].beacons[:4]


def test_the_key_generation_is_over_long_before_its_first_phase_would_end():
    network = running_network()
    group = network.nodes[0].epoch.group
    assert network.now < group.genesis_unix_s - 20
    assert len(group.nodes) == 5
    assert group.genesis_seed == replace(group, public_key=(), genesis_seed=b"").hash()
    assert network.facts_of(0, CeremonyFinished) == [CeremonyFinished(network.nodes[0].epoch)]
    assert network.facts_of(3, GroupProposed)[0].group.public_key == ()


def test_the_epoch_is_on_disk_before_the_vault_opens_it_and_before_anybody_hears_of_it():
    network = running_network()
    mine = [effect for number, effect in network.log if number == 1]
    stored = next(i for i, e in enumerate(mine) if isinstance(e, Persist) and isinstance(e.record, EpochStarted))
    opened = next(i for i, e in enumerate(mine) if isinstance(e, AskVault) and isinstance(e.request, OpenEpoch))
    told = next(i for i, e in enumerate(mine) if isinstance(e, Report) and isinstance(e.fact, CeremonyFinished))
    assert stored < opened < told


def with_the_push_to_node_2_held(**terms) -> tuple[Network, GroupPush]:
    """Three nodes; the leader has waited long enough for node 2 to take the group and begins without it."""
    network, held = Network(3), []

    def wire(_sender, receiver, message):
        if receiver == 2 and isinstance(message, GroupPush):
            held.append(message)
            return None
        return message

    network.wire = wire
    network.ceremony(threshold=2, **terms)
    network.run_until(lambda: network.nodes[1].ceremony.received == 2, 120)
    network.wire = without_bundles_from()
    return network, held[0]


def test_deals_that_overtake_their_group_are_used_once_it_is_here():
    network, push = with_the_push_to_node_2_held(timeout_s=10)
    network.run(1)
    assert network.nodes[2].state is State.JOINING
    network.step(2, Received("10.0.0.9", a_bundle(generating_network(Phase.RESPONDING, now=START_S + 1000))))
    network.step(2, Received("10.0.0.0", push))
    assert network.nodes[2].state is State.GENERATING
    assert network.nodes[2].ceremony.received == 2
    assert any("came early from 10.0.0.9 was refused" in fact.text for fact in network.facts_of(2, Noted))
    network.run_until(lambda: finished(network), 5)
    assert finished(network)
    assert len(network.nodes[0].epoch.group.nodes) == 3


def test_a_group_that_comes_after_its_genesis_is_too_late():
    network, push = with_the_push_to_node_2_held(timeout_s=10)
    network.run(push.group.genesis_unix_s - network.now)
    with pytest.raises(InvalidGroup, match="genesis time in the past") as caught:
        network.step(2, Received("10.0.0.0", push))
    assert "clocks" in caught.value.advice
    assert network.nodes[2].state is State.JOINING


def test_a_key_generation_that_ends_after_genesis_begins_the_chain_by_catching_up():
    network, _ = with_the_push_to_node_2_held(timeout_s=10)
    network.run_until(lambda: network.nodes[0].state is State.RUNNING, 60)
    schedule = network.nodes[0].epoch.group.schedule
    behind = schedule.current_round(network.now)
    assert behind >= 1
    network.run(10)
    assert network.rounds(0) == network.rounds(1) == schedule.current_round(network.now)
    assert network.facts_of(0, CeremonyFailed) == []


def test_bundles_beyond_what_is_kept_are_counted(monkeypatch):
    monkeypatch.setattr("drand.protocol.early.PACKETS_PER_AUTHOR", 1)
    network = Network(3)
    network.ceremony(threshold=2)
    first = a_bundle(generating_network(Phase.RESPONDING, now=START_S + 1000))
    for signature in (b"a", b"b", b"c"):
        network.step(2, Received("10.0.0.9", DkgPacket(replace(first.bundle, signature=signature))))
    network.run(1)
    assert any("2 bundles came too early and were dropped" in fact.text for fact in network.facts_of(2, Noted))


# ---------------------------------------------------------------- views


def test_the_ceremony_can_be_watched_from_the_first_candidate_to_the_finished_group():
    network = Network(3)
    network.start()
    assert network.nodes[0].ceremony.state is State.IDLE
    assert network.nodes[0].head is None
    assert network.nodes[0].beacon_id == "default"
    assert network.nodes[0].identity == network.people[0].identity
    network.lead(threshold=2)
    network.join(1)
    network.run(1)
    view = network.nodes[0].ceremony
    assert (view.state, view.leader, view.joined, view.wanted) == (State.LEADING, True, ("node0:4000", "node1:4000"), 3)
    view = network.nodes[1].ceremony
    assert (view.state, view.leader, view.joined) == (State.JOINING, False, ("node0:4000", "node1:4000"))
    network.join(2)
    network.run_until(lambda: network.nodes[0].state is State.GENERATING, 10)
    view = network.nodes[0].ceremony
    assert (view.phase, view.expected, view.wanted, view.leader) == (Phase.DEALING, 3, 3, True)
    assert view.group.public_key == ()
    network.run_until(lambda: finished(network), 10)
    view = network.nodes[0].ceremony
    assert (view.state, view.phase, view.group) == (State.RUNNING, Phase.FINISHED, network.nodes[0].epoch.group)
    assert network.nodes[0].head.round == 0
    assert network.nodes[0].running.head.round == 0


def test_bundles_are_let_go_once_nobody_can_need_them_any_more():
    network = Network(3)
    network.start()
    network.ceremony(threshold=2)
    network.run_until(lambda: finished(network), 10)
    assert all(node._finished is not None for node in network.nodes.values())
    network.run(60)
    assert all(node._finished is None for node in network.nodes.values())


def test_the_journal_begins_with_the_candidates_and_whether_we_lead():
    network = generating_network()
    first = network.disks[0].journal[0]
    assert isinstance(first, CeremonyStarted)
    assert first.leader
    assert not network.disks[1].journal[0].leader
