"""Ceremonies that fail, whole or in part, and vaults that will not: who is named, and how it goes on."""

from dataclasses import replace

import pytest

from collective.errors import OutOfTurn
from collective.machine import Persist
from drand.model.packets import GroupPush
from drand.model.records import CeremonyEnded
from drand.model.vault_messages import OpenEpoch, SharesCombined
from drand.protocol.ceremony_view import State
from drand.protocol.steps import (
    AbandonCeremony,
    AskVault,
    CeremonyFailed,
    CulpritNamed,
    GroupProposed,
    Noted,
)
from tests.support.network import (
    Network,
    finished,
    generating_network,
    running_network,
    without_bundles_from,
)
from tests.support.people import person

# ---------------------------------------------------------------- failure


def test_a_silent_node_is_left_out_and_keeps_the_others_indices():
    network = Network(5)
    silent = next(n for n, who in enumerate(network.people) if n != 0)
    network.wire = without_bundles_from(silent)
    network.ceremony(threshold=3, timeout_s=2)
    network.run_until(lambda: network.nodes[0].state is State.RUNNING, 60)
    group = network.nodes[0].epoch.group
    absent = network.people[silent].identity
    assert len(group.nodes) == 4
    assert group.find(absent) is None
    place = network.facts_of(0, GroupProposed)[0].group.find(absent).index
    assert [node.index for node in group.nodes] == [index for index in range(5) if index != place]
    assert place in {fact.index for fact in network.facts_of(0, CulpritNamed)}


def test_too_many_silent_nodes_end_the_ceremony_and_another_one_may_begin():
    network = Network(5)
    network.wire = without_bundles_from(1, 2, 3)
    network.ceremony(threshold=3, timeout_s=2)
    network.run(30)
    assert network.nodes[0].state is State.IDLE
    (failed,) = network.facts_of(0, CeremonyFailed)
    assert network.nodes[0].ceremony.failure == failed.reason
    assert network.disks[0].journal == []
    assert any(isinstance(effect, Persist) and isinstance(effect.record, CeremonyEnded) for _, effect in network.log)
    network.wire = lambda _sender, _receiver, message: message
    network.run(60)
    network.lead(threshold=3)
    for number in range(1, 5):
        network.join(number)
    network.run_until(lambda: finished(network), 60)
    assert finished(network)


def test_a_leader_whose_group_nobody_takes_fails_and_names_them():
    network = Network(3)
    network.wire = lambda _sender, _receiver, message: (
        replace(message, signature=b"forged") if isinstance(message, GroupPush) else message
    )
    network.ceremony(threshold=2)
    network.run(5)
    (failed,) = network.facts_of(0, CeremonyFailed)
    assert "node1:4000: invalid group sig" in failed.reason
    assert "node2:4000: invalid group sig" in failed.reason
    assert network.disks[0].journal == []
    assert network.states() == [State.IDLE, State.JOINING, State.JOINING]


@pytest.mark.parametrize("state", [State.LEADING, State.JOINING, State.GENERATING])
def test_a_ceremony_can_be_abandoned_wherever_it_stands(state):
    network = generating_network() if state is State.GENERATING else Network(5)
    if state is not State.GENERATING:
        network.start()
        network.lead(threshold=3)
        network.join(1)
    number = 0 if state is State.LEADING else 1
    assert network.nodes[number].state is state
    network.command(number, AbandonCeremony("a mistake"))
    assert network.nodes[number].state is State.IDLE
    assert network.facts_of(number, CeremonyFailed) == [CeremonyFailed("abandoned: a mistake")]
    assert network.disks[number].journal == []
    with pytest.raises(OutOfTurn, match="no ceremony is running"):
        network.command(number, AbandonCeremony("again"))


def test_a_chain_cannot_be_abandoned():
    network = running_network(3, 2)
    with pytest.raises(OutOfTurn, match="no ceremony is running"):
        network.command(0, AbandonCeremony("a mistake"))


# ---------------------------------------------------------------- the vault


def test_a_vault_out_of_reach_is_asked_again_to_open_the_epoch():
    network = running_network(3, 2)
    network.kill(1)
    network.vault_away = {1}
    network.start(1)
    network.run(12)
    warnings = [fact for fact in network.facts_of(1, Noted) if "does not open our share now: no contact" in fact.text]
    assert len(warnings) >= 2
    network.vault_away = set()
    network.run(10)
    opened = [e for n, e in network.log if n == 1 and isinstance(e, AskVault) and isinstance(e.request, OpenEpoch)]
    before = len(opened)
    network.run(30)
    opened = [e for n, e in network.log if n == 1 and isinstance(e, AskVault) and isinstance(e.request, OpenEpoch)]
    assert len(opened) == before


def test_a_vault_without_the_share_leaves_a_node_that_follows_but_does_not_sign():
    network = running_network(4, 3)
    network.kill(1)
    network.vaults[1] = network.new_vault(1, network.people[1])  # its state is lost
    network.start(1)
    network.run(60)
    errors = [fact for fact in network.facts_of(1, Noted) if fact.level == "error"]
    assert any("follows the chain but cannot sign" in fact.text for fact in errors)
    assert network.rounds(1) >= network.rounds(0) - 1 > 3


def test_a_vault_that_makes_another_polynomial_than_it_should_ends_the_ceremony():
    network = Network(3)
    honest = network.vaults[1].answer

    def short(request):
        reply = honest(request)
        return replace(reply, commits=reply.commits[:1]) if isinstance(reply, SharesCombined) else reply

    network.vaults[1].answer = short
    network.ceremony(threshold=2)
    network.run(5)
    (failed,) = network.facts_of(1, CeremonyFailed)
    assert "contradicts itself: 1 public coefficients for threshold 2" in failed.reason
    assert network.states() == [State.RUNNING, State.IDLE, State.RUNNING]


def test_a_leader_whose_vault_has_lost_its_key_fails_before_anybody_is_told():
    network = Network(3)
    network.vaults[0] = network.new_vault(0, person("another"))
    network.ceremony(threshold=2)
    network.run(5)
    (failed,) = network.facts_of(0, CeremonyFailed)
    assert "the vault refused to sign the group" in failed.reason
    assert network.states() == [State.IDLE, State.JOINING, State.JOINING]
