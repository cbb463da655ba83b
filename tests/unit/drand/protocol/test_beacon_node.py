"""One chain: its rounds, its partials, its vault, and its clock."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import BadSetting
from collective.machine import Persist, WakeAt
from drand.model.chain import Beacon, Round, Schedule
from drand.model.records import BeaconStored
from drand.model.schemes import SCHEME_NAMES, scheme_named
from drand.model.vault_messages import EpochOpened, PartialSigned, RequestId, VaultRefused
from drand.protocol.aggregation import InvalidPartial, RoundTooEarly, UnknownSigner
from drand.protocol.beacon_node import BeaconNode
from drand.protocol.steps import (
    Answered,
    BeaconsChecked,
    BeaconsReceived,
    CulpritNamed,
    Ids,
    Noted,
    Report,
    RoundMade,
    StreamEnded,
)
from drand.protocol.ticker import Ticker
from tests.support.alone import COMMITTEE, Alone
from tests.support.committee import GENESIS_S, PERIOD_S, TOY_CHAINED, TOY_UNCHAINED, Committee, real_committee
from tests.support.stage import Stage

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
    assert made[-1] == Report(RoundMade(Round(1), 0.75, signers=(1, 2, 3)))
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
