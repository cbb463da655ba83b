"""One chain: its rounds, its bad days, and how it comes back."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.committee import GENESIS_S, PERIOD_S, TOY_CHAINED, TOY_UNCHAINED, Committee, real_committee
from tests.support.stage import Stage, words

from collective.errors import BadSetting
from collective.machine import Due, Persist, WakeAt
from drand.model.chain import Beacon, Round, Schedule
from drand.model.packets import PartialPacket
from drand.model.records import BeaconStored
from drand.model.schemes import SCHEME_NAMES, scheme_named
from drand.model.vault_messages import EpochOpened, PartialSigned, RequestId, SignPartial, VaultRefused
from drand.protocol.aggregation import InvalidPartial, RoundTooEarly, UnknownSigner
from drand.protocol.beacon_node import BeaconNode
from drand.protocol.steps import (
    Answered,
    AskVault,
    BeaconsChecked,
    BeaconsReceived,
    CulpritNamed,
    Effect,
    Ids,
    Noted,
    Received,
    Report,
    RoundMade,
    RoundMissed,
    StreamEnded,
    SyncProgressed,
    VaultReplied,
)
from drand.protocol.ticker import Ticker

COMMITTEE = Committee(size=4, threshold=3)


class Alone:
    """Node 0 by itself; the test is the network, the vault and the clock."""

    def __init__(self, committee: Committee = COMMITTEE, head: int | None = 0, now: float = GENESIS_S - 5) -> None:
        self.committee = committee
        last = None if head is None else committee.beacon(head)
        self.node = BeaconNode(committee.epoch(0), committee.peer(0), last, Ids())
        self.asked: list[SignPartial] = []
        self.stream = 0
        self.check = 0
        self.began = self.noticed(self.node.start(now))

    def noticed(self, effects: list[Effect]) -> list[str]:
        for effect in effects:
            if isinstance(effect, AskVault) and isinstance(effect.request, SignPartial):
                self.asked.append(effect.request)
            self.stream = getattr(effect, "call_id", self.stream)
            self.check = getattr(effect, "check_id", self.check)
        return words(effects)

    def due(self, alarm: str, now: float) -> list[str]:
        return self.noticed(self.node.handle(Due(alarm), now))

    def tick(self, round_: int) -> list[str]:
        return self.due("round", self.committee.due(round_))

    def hear(self, packet: PartialPacket, now: float) -> list[str]:
        return self.noticed(self.node.handle(Received("10.0.0.9", packet), now))

    def signed(self, now: float, index: int = 0) -> list[str]:
        """The vault answers the last request."""
        asked = self.asked[-1]
        packet = self.committee.partial(index, asked.round, asked.previous_signature)
        reply = PartialSigned(asked.request_id, asked.round, asked.previous_signature, packet.partial)
        return self.noticed(self.node.handle(VaultReplied(reply), now))

    def refused(self, now: float, retry: bool) -> list[str]:
        reply = VaultRefused(self.asked[-1].request_id, "out of contact", retry)
        return self.noticed(self.node.handle(VaultReplied(reply), now))


# ---------------------------------------------------------------- a normal round


@pytest.mark.parametrize("scheme", [TOY_CHAINED, TOY_UNCHAINED])
def test_a_round_from_its_tick_to_its_beacon(scheme) -> None:  # type: ignore[no-untyped-def]
    committee = Committee(scheme, size=4, threshold=3)
    alone = Alone(committee, head=None)
    assert alone.began == ["persist 0", "wake round at 1000"]
    assert alone.tick(1) == ["wake round at 1030", "ask vault for 1"]
    assert alone.asked[0].previous_signature == committee.group.genesis_seed
    assert alone.signed(1000.1) == ["send partial 1 to 3"]
    assert alone.hear(committee.partial(1, 1), 1000.2) == []
    assert alone.hear(committee.partial(2, 1), 1000.5) == ["persist 1", "publish 1", "report RoundMade"]
    assert alone.hear(committee.partial(3, 1), 1000.6) == []
    assert alone.tick(2) == ["wake round at 1060", "ask vault for 2"]
    assert alone.asked[1].previous_signature == committee.beacon(1).signature, "in unchained schemes too"


def test_the_first_thing_on_disk_is_the_genesis_beacon_and_a_made_round_says_how_late_it_is() -> None:
    node = BeaconNode(COMMITTEE.epoch(0), COMMITTEE.peer(0), None, Ids())
    assert node.start(900)[0] == Persist(BeaconStored(Beacon(Round(0), COMMITTEE.group.genesis_seed)))
    for index in (1, 2):
        node.on_partial("", COMMITTEE.partial(index, 1), 1000.5)
    made = node.on_partial("", COMMITTEE.partial(3, 1), 1000.75)
    assert made[-1] == Report(RoundMade(Round(1), 0.75))
    assert node.head == COMMITTEE.beacon(1)
    assert node.group is COMMITTEE.group
    assert node.running
    assert not node.syncing


@pytest.mark.parametrize("name", SCHEME_NAMES)
def test_five_nodes_make_rounds_in_every_scheme(name: str) -> None:
    stage = Stage(real_committee(scheme_named(name)), now=GENESIS_S - 10)
    for index in range(4):
        stage.boot(index)
    stage.run(stage.committee.due(3) + 1)
    assert [stage.head(index) for index in range(4)] == [3, 3, 3, 3]
    assert stage.published[0] == [1, 2, 3]
    assert stage.refused == []


def test_a_round_that_the_others_made_before_our_tick_is_signed_all_the_same() -> None:
    alone = Alone(head=5, now=COMMITTEE.due(6) + 1)
    for index in (1, 2, 3):
        alone.hear(COMMITTEE.partial(index, 6), COMMITTEE.due(6) + 2)
        alone.hear(COMMITTEE.partial(index, 7), COMMITTEE.due(7) - 0.1)
    assert alone.node.head.round == 7
    assert alone.tick(7)[1:] == ["ask vault for 7"]
    assert alone.asked[-1].previous_signature == COMMITTEE.beacon(6).signature
    assert alone.signed(COMMITTEE.due(7) + 0.1) == ["send partial 7 to 3"]


def test_after_a_restart_an_unchained_node_does_not_know_what_its_last_round_was_built_on() -> None:
    committee = Committee(TOY_UNCHAINED)
    alone = Alone(committee, head=7, now=committee.due(7) - 1)
    assert alone.tick(7) == [f"wake round at {committee.due(8):g}"]


def test_a_group_of_one_makes_its_rounds_alone() -> None:
    stage = Stage(Committee(size=1, threshold=1, catchup_s=0), now=GENESIS_S + 95)
    stage.boot(0)
    stage.run(GENESIS_S + 121)
    assert stage.head(0) == 5


# ---------------------------------------------------------------- partials


def test_a_bad_partial_is_singled_out_and_its_signer_loses_the_privilege() -> None:
    alone = Alone()
    alone.tick(1)
    alone.signed(1000.1)
    alone.hear(COMMITTEE.bad_partial(1, 1), 1000.2)
    named = alone.node.on_partial("", COMMITTEE.partial(2, 1), 1000.3)
    assert [type(effect) for effect in named] == [Report]
    assert named == [Report(CulpritNamed(1, "a partial signature under its index does not verify", proved=False))]
    with pytest.raises(InvalidPartial):
        alone.hear(COMMITTEE.bad_partial(1, 1, variant=2), 1000.4)
    assert alone.hear(COMMITTEE.partial(3, 1), 1000.5)[0] == "persist 1"


def test_a_future_round_is_refused_and_changes_nothing() -> None:
    alone = Alone()
    with pytest.raises(RoundTooEarly):
        alone.hear(COMMITTEE.partial(1, 2), GENESIS_S - 1)
    with pytest.raises(RoundTooEarly):
        alone.hear(COMMITTEE.partial(1, 3), GENESIS_S)


def test_a_vault_with_a_share_of_another_group_is_found_out_and_not_relayed_again() -> None:
    alone = Alone()
    alone.tick(1)
    asked = alone.asked[-1]
    wrong = COMMITTEE.bad_partial(0, 1)
    reply = PartialSigned(asked.request_id, asked.round, asked.previous_signature, wrong.partial)
    assert alone.noticed(alone.node.on_vault_reply(reply, 1000.1)) == ["send partial 1 to 3"]
    alone.hear(COMMITTEE.partial(1, 1), 1000.2)
    found = alone.node.on_partial("", COMMITTEE.partial(2, 1), 1000.3)
    assert isinstance(found[0], Report)
    assert isinstance(found[0].fact, Noted)
    assert "our own partial does not verify" in found[0].fact.text
    assert "ask vault for 1" in alone.tick(2)
    asked = alone.asked[-1]
    with pytest.raises(InvalidPartial):
        alone.node.on_vault_reply(
            PartialSigned(asked.request_id, Round(1), asked.previous_signature, wrong.partial), 1031
        )


def test_a_vault_that_signs_as_another_node_is_refused() -> None:
    alone = Alone()
    alone.tick(1)
    with pytest.raises(UnknownSigner):
        alone.signed(1000.1, index=2)


def test_the_group_must_have_us_at_our_index() -> None:
    with pytest.raises(BadSetting, match="is not n1:1"):
        BeaconNode(COMMITTEE.epoch(0), COMMITTEE.peer(1), None, Ids())
    with pytest.raises(BadSetting):
        BeaconNode(replace(COMMITTEE.epoch(0), index=9), COMMITTEE.peer(0), None, Ids())  # type: ignore[arg-type]


# ---------------------------------------------------------------- the vault


def test_a_vault_out_of_contact_is_asked_again_ever_more_rarely_and_the_refusal_reported_once() -> None:
    alone = Alone()
    alone.tick(1)
    assert alone.refused(1000.0, retry=True) == ["report Noted", "wake catchup at 1000.1"]
    assert alone.due("catchup", 1000.1) == ["ask vault for 1"]
    assert alone.refused(1000.1, retry=True) == ["wake catchup at 1000.3"]
    for _ in range(20):
        alone.due("catchup", 1001)
        alone.refused(1001, retry=True)
    alone.due("catchup", 1001)
    assert alone.refused(1001, retry=True) == ["wake catchup at 1006"]
    assert "ask vault for 1" in alone.tick(2)
    assert alone.signed(1030.1) == ["send partial 1 to 3"]


def test_a_vault_that_refuses_for_good_is_not_asked_for_that_round_again() -> None:
    alone = Alone()
    alone.tick(1)
    assert alone.refused(1000, retry=False) == ["report Noted"]
    assert "ask vault for 1" not in alone.tick(2)
    for index in (1, 2, 3):
        alone.hear(COMMITTEE.partial(index, 1), 1031)
    assert alone.node.head.round == 1
    assert alone.due("catchup", 1032) == ["ask vault for 2"]


def test_an_answer_that_was_lost_is_asked_for_under_the_same_id() -> None:
    alone = Alone()
    alone.tick(1)
    alone.tick(2)
    assert len(alone.asked) == 2
    assert alone.asked[0] == alone.asked[1]
    assert alone.signed(1030.1) == ["send partial 1 to 3"]
    assert alone.signed(1030.2) == []


def test_answers_to_other_questions_have_no_effect() -> None:
    alone = Alone()
    alone.tick(1)
    asked = alone.asked[-1]
    partial = COMMITTEE.partial(0, 1).partial
    for reply in (
        PartialSigned(RequestId("other"), Round(1), asked.previous_signature, partial),
        PartialSigned(asked.request_id, Round(2), asked.previous_signature, partial),
        VaultRefused(RequestId("other"), "no", retry=True),
        EpochOpened(RequestId("other"), b"epoch"),
    ):
        assert alone.node.on_vault_reply(reply, 1001) == []
    assert alone.node.handle(Answered(1, None), 1001) == []


def test_a_partial_of_a_round_long_stored_is_not_sent() -> None:
    alone = Alone()
    alone.tick(1)
    for round_ in (1, 2):
        for index in (1, 2, 3):
            alone.hear(COMMITTEE.partial(index, round_), COMMITTEE.due(2) - 0.5)
    assert alone.node.head.round == 2
    assert alone.signed(COMMITTEE.due(2)) == []


# ---------------------------------------------------------------- behind, halted, and back


def test_a_node_behind_by_one_round_fetches_it_at_the_next_tick_and_joins_the_running_one() -> None:
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    alone.tick(5)
    alone.signed(COMMITTEE.due(5) + 0.1)
    did = alone.tick(6)
    assert did == [
        f"wake round at {COMMITTEE.due(7):g}", "send partial 5 to 3", "report RoundMissed", "fetch 5..6 from n1:1",
    ]  # fmt: skip
    now = COMMITTEE.due(6) + 0.2
    assert alone.noticed(alone.node.handle(BeaconsReceived(alone.stream, COMMITTEE.beacons(5, 5)), now)) == [
        "check 5..5"
    ]
    did = alone.noticed(alone.node.handle(BeaconsChecked(alone.check, frozenset()), now))
    assert did == ["persist 5..5", "publish 5", "report SyncProgressed", "ask vault for 6"]


def test_facts_say_how_far_behind_we_are() -> None:
    stage = Stage(COMMITTEE, now=COMMITTEE.due(1) - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(2) + 1)
    stage.cut.add(0)
    stage.run(COMMITTEE.due(5) + 1)
    assert RoundMissed(Round(5), Round(2)) in stage.facts[0]
    assert stage.facts[0][-1] == Noted("warning", "sync failed: no peer has round 3")
    stage.cut.clear()
    stage.run(COMMITTEE.due(6) + 1)
    assert SyncProgressed(Round(5), Round(6)) in stage.facts[0]
    assert stage.head(0) == 6


@pytest.mark.parametrize("catchup_s", [0, 1, 2])
def test_a_halted_chain_resumes_without_a_gap_at_the_pace_of_catching_up(catchup_s: int) -> None:
    committee = Committee(size=4, threshold=3, catchup_s=catchup_s)
    stage = Stage(committee, now=GENESIS_S - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(committee.due(3) + 1)
    stage.kill(2)
    stage.kill(3)
    stage.run(committee.due(9) + 1)
    assert [stage.head(0), stage.head(1)] == [3, 3]
    stage.boot(2)
    stage.run(committee.due(9) + 2 + 6 * catchup_s)
    assert [stage.head(index) for index in (0, 1, 2)] == [9, 9, 9]
    made = stage.times(0, RoundMade)
    pauses = [later - earlier for earlier, later in pairwise(made[3:])]
    assert len(pauses) == 5
    assert all(pause >= catchup_s for pause in pauses)
    assert stage.published[0] == list(range(1, 10))


def test_when_all_restart_after_an_outage_the_chain_goes_on_where_it_stopped() -> None:
    stage = Stage(COMMITTEE, now=GENESIS_S - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(2) + 1)
    for index in range(4):
        stage.kill(index)
    stage.now = COMMITTEE.due(50) + 11
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(53))
    assert [stage.head(index) for index in range(4)] == [52] * 4
    assert stage.refused == []


def test_a_node_restarted_behind_is_back_in_the_chain_before_the_next_tick() -> None:
    stage = Stage(COMMITTEE, now=GENESIS_S - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(2) + 1)
    stage.kill(3)
    stage.run(COMMITTEE.due(40) + 10)
    stage.boot(3)
    stage.run(COMMITTEE.due(40) + 11)
    assert stage.head(3) == 40
    stage.kill(2)
    stage.run(COMMITTEE.due(41) + 1)
    assert stage.head(0) == 41, "its partial is needed again"


def test_a_key_generation_that_ends_after_genesis_begins_by_catching_up() -> None:
    stage = Stage(COMMITTEE, now=COMMITTEE.due(4) + 20)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(6) + 1)
    assert [stage.head(index) for index in range(4)] == [6] * 4


def test_a_node_started_in_the_first_round_signs_it_at_once() -> None:
    alone = Alone(head=None, now=GENESIS_S + 3)
    assert alone.began == ["persist 0", "wake round at 1030", "fetch 1..1 from n1:1", "ask vault for 1"]


def test_a_liar_among_the_peers_costs_a_detour_only() -> None:
    stage = Stage(COMMITTEE, now=GENESIS_S - 1)
    for index in range(4):
        stage.boot(index)
    stage.run(COMMITTEE.due(1) + 1)
    stage.kill(0)
    stage.run(COMMITTEE.due(12) + 10)
    stage.liars = {1: 7, 2: 3}
    stage.boot(0)
    stage.run(COMMITTEE.due(12) + 12)
    assert stage.head(0) == 12
    named = [fact for fact in stage.facts[0] if isinstance(fact, CulpritNamed)]
    assert [(fact.index, fact.proved) for fact in named] == [(1, False)]


def test_sync_and_aggregation_may_race_for_the_same_rounds() -> None:
    alone = Alone(head=2, now=COMMITTEE.due(4))
    assert "fetch 3..4 from n1:1" in alone.began
    now = COMMITTEE.due(4) + 0.1
    alone.noticed(alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(3, 3)), now))
    for index in (1, 2):
        alone.hear(COMMITTEE.partial(index, 3), now)
        alone.hear(COMMITTEE.partial(index, 4), now)
    assert alone.hear(COMMITTEE.partial(3, 3), now)[:3] == ["persist 3", "publish 3", "report RoundMade"]
    assert alone.noticed(alone.node.on_checked(BeaconsChecked(alone.check, frozenset()), now)) == []
    assert alone.hear(COMMITTEE.partial(3, 4), now) == ["persist 4", "publish 4", "report RoundMade", "abandon"]
    assert not alone.node.syncing


def test_no_old_round_is_signed_while_fetched_beacons_are_being_verified() -> None:
    alone = Alone(head=2, now=COMMITTEE.due(9))
    now = COMMITTEE.due(9) + 1
    alone.noticed(alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(3, 4)), now))
    first = alone.check
    alone.noticed(alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(5, 6)), now))
    did = alone.noticed(alone.node.on_checked(BeaconsChecked(first, frozenset()), now))
    assert did[-1] == f"wake catchup at {now + 1:g}"
    assert alone.due("catchup", now + 1) == [f"wake catchup at {now + 1.25:g}"]
    alone.node.on_checked(BeaconsChecked(alone.check, frozenset()), now + 1.1)
    assert alone.due("catchup", now + 2.1) == ["ask vault for 7"]


def test_rounds_whose_partials_wait_follow_a_synced_one_at_once() -> None:
    alone = Alone(head=2, now=COMMITTEE.due(4))
    now = COMMITTEE.due(4) + 0.1
    for index in (1, 2, 3):
        alone.hear(COMMITTEE.partial(index, 4), now)
    alone.noticed(alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(3, 3)), now))
    did = alone.noticed(alone.node.on_checked(BeaconsChecked(alone.check, frozenset()), now))
    assert did == [
        "persist 3..3", "publish 3", "report SyncProgressed", "persist 4", "publish 4", "report RoundMade", "abandon",
    ]  # fmt: skip


def test_a_partial_that_shows_the_others_ahead_makes_us_fetch_after_a_moment_once_a_round() -> None:
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    alone.tick(5)
    now = COMMITTEE.due(5) + 1
    assert alone.hear(COMMITTEE.partial(1, 6), now) == [f"wake sync at {now + 0.5:g}"]
    assert alone.hear(COMMITTEE.partial(2, 6), now) == []
    assert alone.due("sync", now + 0.5) == ["fetch 5..5 from n1:1"]
    assert alone.hear(COMMITTEE.partial(3, 6), now) == []
    assert alone.noticed(alone.node.handle(StreamEnded(alone.stream, "gone"), now + 1))[-1] == "fetch 5..5 from n2:1"


def test_a_hint_is_doubted_when_it_leads_nowhere_unless_the_clock_agrees() -> None:
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    now = COMMITTEE.due(5) + 1
    assert alone.hear(COMMITTEE.bad_partial(1, 6), now) == [f"wake sync at {now + 0.5:g}"]
    alone.due("sync", now + 0.5)
    for _ in range(3):
        alone.noticed(alone.node.handle(StreamEnded(alone.stream, "nothing there"), now + 1))
    assert not alone.node.syncing
    assert alone.hear(COMMITTEE.bad_partial(2, 6), now + 1) == []
    alone.tick(6)
    for _ in range(3):
        alone.noticed(alone.node.handle(StreamEnded(alone.stream, "nothing there"), now + 31))
    assert alone.hear(COMMITTEE.partial(3, 6), now + 31) == [f"wake sync at {now + 31.5:g}"]


def test_a_hint_that_the_partials_have_overtaken_is_not_followed() -> None:
    alone = Alone(head=4, now=COMMITTEE.due(5) - 1)
    now = COMMITTEE.due(5) + 1
    alone.hear(COMMITTEE.partial(1, 6), now)
    for index in (1, 2, 3):
        alone.hear(COMMITTEE.partial(index, 5), now)
    assert alone.due("sync", now + 0.5) == []


# ---------------------------------------------------------------- clocks, and the end


def test_a_clock_stepped_back_signs_nothing_early_and_nothing_twice() -> None:
    alone = Alone(head=9, now=COMMITTEE.due(9) + 1)
    back = COMMITTEE.due(7) + 2
    effects = alone.node.on_due("round", back)
    assert effects[0] == WakeAt("round", COMMITTEE.due(8))
    assert isinstance(effects[1], Report)
    assert isinstance(effects[1].fact, Noted)
    assert "the clock says round 7" in effects[1].fact.text
    assert alone.due("round", back + 1) == [f"wake round at {COMMITTEE.due(8):g}"]
    assert alone.due("catchup", back) == []
    assert alone.due("round", GENESIS_S - 100) == ["wake round at 1000"]


def test_a_clock_stepped_forward_skips_ticks_but_no_round() -> None:
    alone = Alone(head=9, now=COMMITTEE.due(9) + 1)
    assert alone.tick(30) == [
        f"wake round at {COMMITTEE.due(31):g}", "ask vault for 10", "report RoundMissed", "fetch 10..30 from n1:1",
    ]  # fmt: skip


@given(times=st.lists(st.floats(0, 3000), max_size=30))
def test_however_the_clock_jumps_the_next_alarm_is_the_next_due_second(times: list[float]) -> None:
    schedule = Schedule(genesis_unix_s=GENESIS_S, period_s=PERIOD_S)
    ticker = Ticker(schedule)
    ticker.start(0)
    last = 0
    for now in times:
        round_, wake = ticker.on_due(now)
        assert wake.unix_s == schedule.next_round(now)[1] > now
        if round_ is not None:
            assert schedule.due_unix_s(round_) <= now < wake.unix_s
            assert round_ != last
            last = round_


def test_an_alarm_that_rings_too_early_is_set_again() -> None:
    alone = Alone()
    assert alone.due("round", 999.9999) == ["wake round at 1000"]
    alone.tick(1)
    assert alone.due("round", 1029.9999) == ["wake round at 1030"]
    assert alone.due("setup", 1000) == []


def test_a_stopped_node_closes_its_stream_and_does_nothing_more() -> None:
    alone = Alone(head=2, now=COMMITTEE.due(6))
    assert alone.noticed(alone.node.stop()) == ["abandon"]
    now = COMMITTEE.due(7)
    assert alone.tick(7) == []
    assert alone.hear(COMMITTEE.partial(1, 3), now) == []
    assert alone.node.on_vault_reply(EpochOpened(RequestId("x"), b"epoch"), now) == []
    assert alone.node.on_beacons(BeaconsReceived(alone.stream, COMMITTEE.beacons(3, 3)), now) == []
    assert alone.node.on_stream_ended(StreamEnded(alone.stream, None), now) == []
    assert alone.node.on_checked(BeaconsChecked(1, frozenset()), now) == []


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_kills_cuts_and_absent_vaults_cost_no_round_and_the_chain_comes_back(data: st.DataObject) -> None:
    """Safety is checked by the stage at every write; liveness once the faults stop."""
    committee = Committee(data.draw(st.sampled_from([TOY_CHAINED, TOY_UNCHAINED])), size=5, threshold=3)
    loss, seed = data.draw(st.sampled_from([0, 0.1, 0.3])), data.draw(st.integers(0, 2**32))
    stage = Stage(committee, now=GENESIS_S - 1, loss=loss, seed=seed)
    for index in range(5):
        stage.boot(index)
    for _ in range(data.draw(st.integers(0, 12))):
        stage.run(stage.now + data.draw(st.floats(0, 50)))
        index = data.draw(st.integers(0, 4))
        match data.draw(st.sampled_from(["kill", "cut", "vault"])):
            case "kill" if index in stage.nodes:
                stage.kill(index)
            case "kill":
                stage.boot(index)
            case "cut":
                stage.cut ^= {index}
            case _:
                stage.vault_away ^= {index}
    stage.cut.clear()
    stage.vault_away.clear()
    stage.loss = 0
    for index in set(range(5)) - set(stage.nodes):
        stage.boot(index)
    behind = int((stage.now - GENESIS_S) // PERIOD_S) + 1
    stage.run(stage.now + 3 * PERIOD_S + behind * 1.5)
    current = committee.group.schedule.current_round(stage.now)
    assert all(stage.head(index) >= current - 1 for index in range(5))
    assert stage.refused == []
