"""What a beacon process refuses, and that a refusal leaves it as it was."""

from dataclasses import replace
from pathlib import Path

import pytest

from collective.errors import InvalidSignature, OutOfTurn
from collective.signatures import schnorr
from drand.errors import InvalidGroup
from drand.model.chain import Round
from drand.model.packets import DkgPacket, GroupPush, PartialPacket, SignalPacket
from drand.model.records import Phase
from drand.model.vault_messages import DealShares, RequestId, UserEntropy, VaultRefused
from drand.protocol.ceremony_view import State
from drand.protocol.setup_rules import AlreadyDone, AlreadyRunning, WrongSecret
from drand.protocol.steps import (
    AbandonCeremony,
    Answered,
    AskVault,
    BeaconsReceived,
    CallFailed,
    CeremonyFailed,
    Due,
    JoinCeremony,
    Noted,
    Received,
    Send,
    StreamEnded,
    VaultReplied,
)
from tests.support.entropy import SeededEntropy
from tests.support.network import (
    SECRET,
    START_S,
    Network,
    a_bundle,
    finished,
    generating_network,
    running_network,
)
from tests.support.people import person

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
    before, after = network.log[:asked], network.log[asked:]
    requests = [effect.request for number, effect in after if number == 1 and isinstance(effect, AskVault)]
    assert [request.entropy for request in requests if isinstance(request, DealShares)] == [entropy]
    assert not any(number == 1 and isinstance(effect, Send) for number, effect in before)
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
    with pytest.raises(InvalidSignature, match="invalid group sig"):
        network.step(1, Received("10.0.0.0", replace(pushes[0], group=replace(pushes[0].group, threshold=3))))
    with pytest.raises(WrongSecret):
        network.step(1, Received("10.0.0.0", replace(pushes[0], dkg_timeout_s=5, secret=b"another")))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"period_ns": 10**9}, "another period"),
        ({"period_ns": 10**9, "catchup_period_ns": 0}, "another period, another catch-up period"),
        ({"nodes": "elsewhere"}, "other addresses"),
        ({"genesis_unix_s": "later"}, "two different groups"),
        ({}, "another phase length"),
    ],
)
def test_a_second_version_of_the_leaders_group_is_reported_once(changed: dict[str, object], said: str):
    """The leader's signature covers neither period nor addresses: a member can send its own version first."""
    network, pushes = Network(3), list[GroupPush]()
    network.wire = lambda _s, _r, message: (
        pushes.append(message) or message if isinstance(message, GroupPush) else message
    )
    network.ceremony(threshold=2)
    network.run_until(lambda: network.nodes[1].state is State.GENERATING, 10)
    network.step(1, Received("10.0.0.2", second_version(network, pushes[0], changed)))
    (told,) = [fact for fact in network.facts[1] if isinstance(fact, Noted) and fact.level == "error"]
    assert f"the leader's group came a second time, with {said}: " in told.text
    with pytest.raises(OutOfTurn, match="no receiver setup"):
        network.step(1, Received("10.0.0.2", second_version(network, pushes[0], changed)))
    network.run_until(lambda: finished(network), 60)
    assert finished(network)


def second_version(network: Network, push: GroupPush, changed: dict[str, object]) -> GroupPush:
    """The same announcement with other values, under the leader's signature."""
    group = push.group
    match changed:
        case {"nodes": _}:
            third = network.people[2].identity
            away = replace(third, address="elsewhere:4000")
            nodes = tuple(replace(node, identity=away) if node.identity == third else node for node in group.nodes)
            group = replace(group, nodes=nodes)
        case {"genesis_unix_s": _}:
            moved = replace(group, genesis_unix_s=group.genesis_unix_s + 30, genesis_seed=b"").with_seed()
            leader = network.people[0]
            signature = schnorr.sign(
                leader.identity.scheme.key_group, leader.secret, moved.hash(), SeededEntropy("a second version")
            )
            return replace(push, group=moved, signature=signature)
        case {"period_ns": _}:
            group = replace(group, **changed)
        case _:
            return replace(push, dkg_timeout_s=5)
    return replace(push, group=group)


def test_a_leader_takes_another_genesis_for_every_ceremony_and_nobody_another_with_the_same():
    """The genesis time names the session: what was said in a ceremony that failed would count in the next one."""
    network, pushes = Network(3), list[GroupPush]()
    network.wire = lambda _s, _r, message: (
        pushes.append(message) or message if isinstance(message, GroupPush) else message
    )
    network.start()
    genesis = []
    for _ in range(2):
        network.lead(threshold=2, period_s=3600)
        network.join(1)
        network.join(2)
        network.run_until(lambda: all(state is State.GENERATING for state in network.states()), 10)
        genesis.append(pushes[-1].group.genesis_unix_s)
        for number in range(3):
            network.command(number, AbandonCeremony("once more"))
    assert genesis[1] - genesis[0] == 3600
    network.lead(threshold=2, period_s=3600)
    network.join(1)
    network.run_until(lambda: network.nodes[1].ceremony.joined != (), 10)
    with pytest.raises(InvalidGroup, match="a ceremony with this genesis time was held here before") as caught:
        network.step(1, Received("10.0.0.2", pushes[0]))
    assert "when the period is over" in caught.value.advice


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
