"""The machine of one beacon id: from setup through key generation to rounds, and back after a crash."""

from dataclasses import replace
from pathlib import Path

import pytest

from collective.errors import OutOfTurn
from collective.machine import Persist
from drand.errors import InvalidGroup
from drand.model.chain import Round
from drand.model.packets import DkgPacket, GroupPush, PartialPacket, SignalPacket
from drand.model.records import CeremonyEnded, CeremonyStarted, EpochStarted, Phase
from drand.model.schemes import scheme_named
from drand.model.vault_messages import DealShares, OpenEpoch, RequestId, SharesCombined, UserEntropy, VaultRefused
from drand.protocol.ceremony_view import State
from drand.protocol.setup_rules import AlreadyDone, AlreadyRunning, WrongSecret
from drand.protocol.steps import (
    AbandonCeremony,
    Answered,
    AskVault,
    BeaconsReceived,
    CallFailed,
    CeremonyFailed,
    CeremonyFinished,
    CulpritNamed,
    Due,
    GroupProposed,
    JoinCeremony,
    Noted,
    Received,
    Report,
    Restarted,
    Send,
    StreamEnded,
    VaultReplied,
)
from tests.support.committee import TOY_CHAINED, TOY_UNCHAINED
from tests.support.network import SECRET, START_S, Network, without_bundles_from
from tests.support.people import person

ALL_RUN = [State.RUNNING] * 5


def finished(network: Network) -> bool:
    return all(state is State.RUNNING for state in network.states())


def running_network(size: int = 5, threshold: int = 3, **settings) -> Network:
    network = Network(size, **settings)
    network.ceremony(threshold=threshold)
    network.run_until(lambda: finished(network), 60)
    assert finished(network)
    return network


def generating_network(phase: Phase | None = None, now: float = START_S) -> Network:
    """Five nodes somewhere in their key generation."""
    network = Network(5, now=now)
    network.ceremony(threshold=3)
    network.run_until(lambda: network.states() == [State.GENERATING] * 5, 30)
    if phase is not None:
        network.run_until(lambda: network.nodes[2].ceremony.phase is phase, 30)
    return network


def a_bundle(network: Network) -> DkgPacket:
    return next(
        effect.message
        for _, effect in network.log
        if isinstance(effect, Send) and isinstance(effect.message, DkgPacket)
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


# ---------------------------------------------------------------- what is not allowed now


def test_a_fresh_process_answers_each_message_with_why_it_is_too_early():
    other = running_network(3, 2)
    bundle = a_bundle(other)
    network = Network(2)
    network.start()
    group = other.nodes[0].epoch.group
    for message, complaint in (
        (PartialPacket(Round(1), b"", b"x"), "DKG not finished yet"),
        (bundle, "no dkg running and yet received a DKGPacket for beacon default"),
        (SignalPacket(network.people[1].identity, SECRET), "no DKG in progress for beaconID default"),
        (GroupPush(group, SECRET, 10, b""), "no receiver setup for beaconID default"),
    ):
        with pytest.raises(OutOfTurn, match=complaint):
            network.step(0, Received("10.0.0.1", message))
    assert network.states() == [State.IDLE] * 2


def test_one_ceremony_runs_at_a_time_and_says_how_to_watch_it():
    network = Network(3)
    network.start()
    network.lead(threshold=2)
    with pytest.raises(AlreadyRunning, match=r"already running for beacon default \(leading\)") as caught:
        network.lead(threshold=2)
    assert "drand util status" in caught.value.advice
    network.join(1)
    with pytest.raises(AlreadyRunning, match="joining"):
        network.join(1)
    with pytest.raises(AlreadyRunning):
        generating_network().join(3)


def test_a_fresh_ceremony_is_refused_where_a_group_exists_also_after_a_restart():
    network = running_network(3, 2)
    with pytest.raises(AlreadyDone, match="dkg phase already done") as caught:
        network.lead(threshold=2)
    assert "drand util reset" in caught.value.advice
    network.kill(0)
    network.start(0)
    with pytest.raises(AlreadyDone):
        network.lead(threshold=2)
    with pytest.raises(AlreadyDone):
        network.join(1)


def test_a_node_that_died_before_it_dealt_deals_with_the_source_that_its_operator_named(tmp_path: Path):
    script = tmp_path / "dice"
    script.write_text("#!/bin/sh\nexec cat /dev/urandom\n")
    script.chmod(0o700)
    entropy = UserEntropy(str(script), user_only=True)
    network = Network(3)
    network.start()
    network.lead(threshold=2)
    network.command(1, JoinCeremony(leader=network.people[0].identity.peer, secret=SECRET, entropy=entropy))
    network.join(2)
    network.run_until(lambda: bool(network.disks[1].journal), 30)
    asked = len(network.log)
    network.kill(1)
    network.start(1)
    network.run_until(lambda: finished(network), 60)
    requests = [effect.request for number, effect in network.log if number == 1 and isinstance(effect, AskVault)]
    assert [request.entropy for request in requests if isinstance(request, DealShares)] == [entropy]
    assert not any(number == 1 and isinstance(effect, AskVault) for number, effect in network.log[:asked])
    assert finished(network)


def test_a_refused_command_leaves_a_process_that_can_still_begin():
    network = Network(3)
    network.start()
    with pytest.raises(Exception, match="invalid threshold"):
        network.lead(threshold=1)
    assert network.nodes[0].state is State.IDLE
    network.lead(threshold=2)
    assert network.nodes[0].state is State.LEADING


def test_a_participant_with_the_wrong_secret_is_told_so_and_the_ceremony_goes_on_without_it():
    network = Network(3)
    network.start()
    network.lead(threshold=2)
    network.join(1, secret=b"another secret of 32 characters!!")
    network.run(5)
    assert network.nodes[1].state is State.IDLE
    (failed,) = network.facts_of(1, CeremonyFailed)
    assert failed.reason == "the leader node0:4000 refused us: shared secret is incorrect"
    assert network.nodes[1].ceremony.failure == failed.reason
    assert isinstance(network.refused[0][2], WrongSecret)
    network.join(1)
    network.join(2)
    network.run_until(lambda: finished(network), 30)
    assert finished(network)


def test_participants_may_come_before_their_leader():
    network = Network(3)
    network.start()
    network.join(1)
    network.join(2)
    network.run(30)
    network.lead(threshold=2)
    network.run_until(lambda: finished(network), 60)
    assert finished(network)


def test_participants_find_a_leader_again_that_was_restarted_while_it_collected():
    network = Network(3)
    network.start()
    network.lead(threshold=2)
    network.join(1)
    network.run(5)
    network.kill(0)
    network.start(0)
    network.lead(threshold=2)
    network.join(2)
    network.run_until(lambda: finished(network), 120)
    assert finished(network)


def test_late_bundles_are_quietly_accepted_and_answers_to_nobody_passed_over():
    network = running_network(3, 2)
    network.run(1)
    before = len(network.log)
    network.step(1, Received("10.0.0.0", a_bundle(network)))
    network.step(1, Answered(99, None))
    network.step(1, CallFailed(99, "late"))
    network.step(1, StreamEnded(99, None))
    network.step(1, Due("setup"))
    network.step(1, Due("open-epoch"))
    network.step(1, VaultReplied(VaultRefused(RequestId("old/deal/1"), "gone")))
    assert len(network.log) == before


def test_what_comes_for_parts_that_do_not_exist_has_no_effect():
    network = Network(2)
    network.start()
    network.step(0, BeaconsReceived(1, ()))
    network.step(0, Due("round"))
    network.step(0, VaultReplied(VaultRefused(RequestId("old/deal/1"), "gone")))
    assert network.log == []


def test_the_same_group_pushed_again_is_accepted_and_another_one_refused():
    network = Network(3)
    pushes = []
    network.wire = lambda _s, _r, message: (
        pushes.append(message) or message if isinstance(message, GroupPush) else message
    )
    network.ceremony(threshold=2)
    network.run_until(lambda: network.nodes[1].state is State.GENERATING, 10)
    before = len(network.log)
    network.step(1, Received("10.0.0.0", pushes[0]))
    assert len(network.log) == before
    with pytest.raises(OutOfTurn, match="no receiver setup"):
        network.step(1, Received("10.0.0.0", replace(pushes[0], group=replace(pushes[0].group, threshold=3))))


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


# ---------------------------------------------------------------- restart


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
    assert network.states() == ALL_RUN
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


# ---------------------------------------------------------------- refusing changes nothing


def test_a_process_that_refuses_an_event_is_what_it_was_before():
    """Every message of a whole run is sent tampered first, to processes in every state."""
    network = Network(4)
    network.watchful = True
    other = generating_network(Phase.RESPONDING, now=START_S + 1000)
    strange = [a_bundle(other), PartialPacket(Round(9), b"", b"short"), SignalPacket(person("x").identity, b"guess")]

    def tampering(_sender, receiver, message):
        match message:
            case DkgPacket(bundle):
                strange.append(DkgPacket(replace(bundle, signature=b"forged")))
            case SignalPacket():
                strange.append(replace(message, secret=b"guess"))
                strange.append(replace(message, identity=replace(message.identity, address="elsewhere:1")))
            case GroupPush():
                strange.append(replace(message, signature=b"forged"))
                strange.append(replace(message, group=replace(message.group, threshold=1)))
            case PartialPacket():
                strange.append(replace(message, round=Round(message.round + 5)))
                strange.append(replace(message, partial=b"\xff\xff" + message.partial[2:]))
        for packet in strange[-3:]:
            network.post(receiver, Received("10.0.0.9", packet), 0.0)
        return message

    network.wire = tampering
    network.ceremony(threshold=3)
    network.run_until(lambda: network.rounds(0) >= 5, 120)
    assert network.rounds(0) >= 5
    kinds = {(type(event.message), type(error)) for _, event, error in network.refused}
    assert {kind for kind, _ in kinds} == {DkgPacket, SignalPacket, GroupPush, PartialPacket}
    assert len({error for _, error in kinds}) >= 5


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
