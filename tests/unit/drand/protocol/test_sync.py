"""Catching up from peers: one at a time, verified in batches, whoever lies is left."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, Index, Round
from drand.model.group import NANOSECONDS
from drand.protocol import sync as module
from drand.protocol.chain import Chain, ForeignChain, check_follows
from drand.protocol.steps import (
    Abandon,
    BeaconsChecked,
    BeaconsReceived,
    CheckBeacons,
    CulpritNamed,
    Effect,
    FetchBeacons,
    Ids,
    Noted,
    Report,
    StreamEnded,
)
from drand.protocol.sync import Sync, Verified
from tests.support.committee import TOY_UNCHAINED, Committee
from tests.support.stage import words

COMMITTEE = Committee(size=5, threshold=3)


class Behind:
    """Node 1, whose chain is at `head`, catching up."""

    def __init__(self, head: int = 0, committee: Committee = COMMITTEE) -> None:
        self.committee = committee
        self.chain = Chain(committee.group, committee.beacon(head))
        self.sync = Sync(committee.group, Index(1), Ids())
        self.stream = 0
        self.checks: list[CheckBeacons] = []

    def noticed(self, effects: Iterable[Effect]) -> list[str]:
        for effect in effects:
            if isinstance(effect, FetchBeacons):
                self.stream = effect.call_id
            elif isinstance(effect, CheckBeacons):
                self.checks.append(effect)
        return words(list(effects))

    def want(self, target: int) -> list[str]:
        return self.noticed(self.sync.want(Round(target), self.chain.head))

    def receive(self, beacons: Iterable[Beacon], stream: int | None = None) -> list[str]:
        event = BeaconsReceived(self.stream if stream is None else stream, tuple(beacons))
        return self.noticed(self.sync.on_beacons(event, self.chain.head))

    def receive_good(self, first: int, last: int) -> list[str]:
        return self.receive(self.committee.beacons(first, last))

    def end(self, reason: str | None = None) -> list[str]:
        return self.noticed(self.sync.on_ended(StreamEnded(self.stream, reason)))

    def tick(self, current: int) -> list[str]:
        return self.noticed(self.sync.on_tick(Round(current)))

    def check(self, place: int = 0) -> list[str]:
        """The check at `place` of those open comes back; what it yields joins the chain."""
        check = self.checks.pop(place)
        bad = frozenset(b.round for b in check.beacons if b != self.committee.beacon(b.round))
        verified = self.sync.on_checked(BeaconsChecked(check.check_id, bad), self.chain.head)
        self.chain.extend(verified.beacons)
        return self.noticed(verified.effects)

    @property
    def head(self) -> int:
        return self.chain.head.round


def test_one_peer_is_asked_from_the_first_missing_round_and_what_it_sends_is_verified_before_it_counts() -> None:
    node = Behind(head=2)
    assert node.want(7) == ["fetch 3..7 from n2:1"]
    assert node.receive_good(3, 5) == ["check 3..5"]
    assert node.head == 2
    assert node.check() == []
    assert node.head == 5
    assert node.receive_good(6, 7) == ["check 6..7"]
    assert node.check() == []
    assert (node.head, node.sync.running) == (7, False)


def test_nothing_is_fetched_when_nothing_is_missing_or_nobody_can_be_asked() -> None:
    assert Behind(head=7).want(7) == []
    alone = Committee(size=1, threshold=1)
    assert Sync(alone.group, Index(0), Ids()).want(Round(7), alone.beacon(0)) == []


def test_a_second_wish_extends_the_sync_that_runs() -> None:
    node = Behind()
    node.want(3)
    assert node.want(5) == []
    assert node.receive_good(1, 3) == ["check 1..3", "fetch 4..5 from n2:1"]


def test_attempts_and_nodes_start_with_different_peers() -> None:
    node = Behind()
    first_asked = []
    for _ in range(4):
        first_asked.append(node.want(3)[0])
        node.sync.stop()
    assert sorted(first_asked) == [f"fetch 1..3 from n{at}:1" for at in (0, 2, 3, 4)]
    elsewhere = Sync(COMMITTEE.group, Index(2), Ids())
    assert words(elsewhere.want(Round(3), COMMITTEE.beacon(0))) != [first_asked[0]]


def test_a_peer_that_ends_early_keeps_what_it_sent_and_the_next_one_goes_on() -> None:
    node = Behind()
    node.want(6)
    node.receive_good(1, 4)
    assert node.end("connection reset") == ["report Noted", "fetch 5..6 from n3:1"]
    assert node.receive_good(5, 6) == ["check 5..6"]
    node.check()
    node.check()
    assert node.head == 6


def test_when_all_peers_fail_the_sync_is_over_until_it_is_wanted_again() -> None:
    node = Behind()
    node.want(6)
    for _ in range(3):
        assert node.end("no beacon stored above requested round")[-1].startswith("fetch 1..6")
    effects = node.sync.on_ended(StreamEnded(node.stream, None))
    assert effects[-1] == Report(Noted("debug", "sync failed: no peer has round 1"))
    assert not node.sync.running
    assert node.want(6) == ["fetch 1..6 from n3:1"]


def failed_attempt(node: Behind, target: int) -> str:
    """All four peers end without a beacon; returns the level at which that is reported."""
    node.want(target)
    for _ in range(3):
        node.end("no beacon stored above requested round")
    (*_, last) = node.sync.on_ended(StreamEnded(node.stream, None))
    assert isinstance(last, Report)
    assert isinstance(last.fact, Noted)
    assert last.fact.text.startswith("sync failed: no peer has round")
    return last.fact.level


def test_only_a_round_that_stays_missing_at_all_peers_is_worth_a_warning() -> None:
    node = Behind()
    assert [failed_attempt(node, 6) for _ in range(11)] == (["debug"] * 4 + ["warning"]) * 2 + ["debug"]


def test_a_chain_that_catches_up_round_by_round_warns_of_nothing() -> None:
    node = Behind()
    for head in range(1, 12):
        assert failed_attempt(node, head + 3) == "debug"
        node.chain.append(node.committee.beacon(head))
        node.sync.appended(node.chain.head)


def test_what_is_being_verified_still_counts_after_the_last_peer_has_failed() -> None:
    node = Behind()
    node.want(6)
    node.receive_good(1, 2)
    for _ in range(4):
        node.end("gone")
    assert node.sync.running
    assert node.check() == ["report Noted"]
    assert (node.head, node.sync.running) == (2, False)


@pytest.mark.parametrize(
    "beacons",
    [
        COMMITTEE.beacons(2, 3),
        (COMMITTEE.beacon(1), COMMITTEE.beacon(3)),
        (COMMITTEE.beacon(1), COMMITTEE.beacon(1)),
        (COMMITTEE.beacon(1), Beacon(Round(2), COMMITTEE.beacon(2).signature, bytes(16))),
        (COMMITTEE.beacon(1), Beacon(Round(2), b"short", COMMITTEE.beacon(1).signature)),
    ],
    ids=["gap-at-once", "gap", "twice", "not-linked", "short-signature"],
)
def test_a_stream_that_is_no_chain_is_left_for_the_next_peer(beacons: tuple[Beacon, ...]) -> None:
    node = Behind()
    node.want(5)
    did = node.receive(beacons)
    assert did[:2] == ["abandon", "report Noted"]
    assert did[-1] == ("fetch 1..5 from n3:1" if beacons[0].round == 2 else "fetch 2..5 from n3:1")
    while node.checks:
        node.check()
    node.receive_good(node.head + 1, 5)
    while node.checks:
        node.check()
    assert node.head == 5


def test_what_comes_after_the_last_round_asked_for_is_passed_over() -> None:
    node = Behind()
    node.want(5)
    assert node.receive_good(1, 7) == ["check 1..5"]
    node.check()
    assert (node.head, node.sync.running) == (5, False)
    assert node.want(7) == ["fetch 6..7 from n3:1"]


def test_a_liar_is_named_its_good_prefix_kept_and_it_is_asked_last_from_then_on() -> None:
    node = Behind()
    assert node.want(6) == ["fetch 1..6 from n2:1"]
    node.receive([*COMMITTEE.beacons(1, 2), COMMITTEE.lie(3)])
    check = node.checks.pop()
    verified = node.sync.on_checked(BeaconsChecked(check.check_id, frozenset({Round(3)})), node.chain.head)
    assert verified.beacons == COMMITTEE.beacons(1, 2)
    assert isinstance(verified.effects[0], Abandon)
    assert verified.effects[1] == Report(CulpritNamed(2, "sent a beacon of round 3 that does not verify", proved=False))
    assert words(list(verified.effects[2:])) == ["fetch 3..6 from n3:1"]
    node.sync.stop()
    last_asked = []
    for _ in range(4):
        node.want(6)
        while node.sync.running:
            last = node.end("gone")[-1]
            if last.startswith("fetch"):
                asked = last
        last_asked.append(asked)
    assert last_asked == ["fetch 1..6 from n2:1"] * 4


def test_a_lie_makes_us_doubt_all_that_was_built_on_it() -> None:
    node = Behind()
    node.want(8)
    lie = COMMITTEE.lie(3)
    node.receive([*COMMITTEE.beacons(1, 2), lie])
    node.receive([Beacon(Round(4), COMMITTEE.beacon(4).signature, lie.signature)])
    assert len(node.checks) == 2
    assert node.check()[-1] == "fetch 3..8 from n3:1"
    late = node.checks.pop(0)
    assert node.sync.on_checked(BeaconsChecked(late.check_id, frozenset()), node.chain.head) == Verified((), ())
    node.receive_good(3, 8)
    node.check()
    assert node.head == 8


def test_checks_that_come_back_out_of_order_are_stored_in_order() -> None:
    node = Behind()
    node.want(4)
    node.receive_good(1, 2)
    node.receive_good(3, 4)
    assert node.check(place=1) == []
    assert node.head == 0
    node.check()
    assert node.head == 4


def test_at_most_two_batches_are_verified_at_a_time_and_drops_become_one_batch() -> None:
    node = Behind()
    node.want(9)
    did = [node.receive_good(r, r) for r in range(1, 10)]
    assert did == [["check 1..1"], ["check 2..2"], [], [], [], [], [], [], []]
    assert node.check() == ["check 3..9"]


def test_a_long_history_is_fetched_in_windows_and_never_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW_ROUNDS", 8)
    monkeypatch.setattr(module, "BATCH_ROUNDS", 4)
    node = Behind()
    assert node.want(20) == ["fetch 1..8 from n2:1"]
    assert node.receive_good(1, 6) == ["check 1..4", "check 5..6"]
    assert node.receive_good(7, 8) == []
    assert node.check() == ["check 7..8", "fetch 9..16 from n2:1"]
    assert node.head == 4


def test_a_peer_that_only_keeps_pace_with_the_chain_is_left_for_the_next() -> None:
    node = Behind()
    node.want(10)
    assert node.tick(10) == []
    node.receive_good(1, 1)
    assert node.tick(11) == ["abandon", "report Noted", "fetch 2..10 from n3:1"]
    assert node.tick(12) == []


def test_a_peer_that_sends_a_little_more_than_the_chain_grows_is_left_too() -> None:
    node = Behind()
    node.want(1000)
    for current, first, last in ((1000, 1, 40), (1001, 41, 72)):
        assert node.tick(current) == []
        node.receive_good(first, last)
    assert node.tick(1002) == ["abandon", "report Noted", "fetch 73..1000 from n3:1"], "31 closer"


def test_a_fast_chain_gives_a_peer_two_seconds_at_least() -> None:
    group = replace(COMMITTEE.group, period_ns=NANOSECONDS)
    sync = Sync(group, Index(1), Ids())
    sync.want(Round(10), COMMITTEE.beacon(0))
    assert [bool(sync.on_tick(Round(at))) for at in (10, 11, 12)] == [False, False, True]


def test_a_verification_that_never_answers_does_not_hold_up_catching_up_for_ever() -> None:
    node = Behind()
    node.want(4)
    node.receive_good(1, 4)
    assert [node.tick(at) for at in range(10, 14)] == [[], [], [], []]
    assert node.tick(14) == ["report Noted"]
    assert not node.sync.running
    assert node.want(4) == ["fetch 1..4 from n3:1"]


def test_rounds_that_were_aggregated_meanwhile_are_passed_over() -> None:
    node = Behind()
    node.want(4)
    node.receive_good(1, 2)
    for beacon in COMMITTEE.beacons(1, 3):
        node.chain.append(beacon)
    assert node.sync.appended(node.chain.head) == []
    assert node.check() == []
    assert node.receive_good(3, 4) == ["check 4..4"]
    node.check()
    assert node.head == 4


def test_the_stream_is_closed_when_aggregation_reaches_the_target_first() -> None:
    node = Behind()
    node.want(2)
    for beacon in COMMITTEE.beacons(1, 2):
        node.chain.append(beacon)
    assert words(node.sync.appended(node.chain.head)) == ["abandon"]
    assert not node.sync.running
    assert node.sync.appended(node.chain.head) == []


def test_events_of_closed_streams_have_no_effect() -> None:
    node = Behind()
    assert node.receive_good(1, 2) == []
    node.want(3)
    assert node.receive(COMMITTEE.beacons(1, 2), stream=node.stream + 1) == []
    assert node.sync.on_ended(StreamEnded(node.stream + 1, None)) == []
    node.sync.stop()
    assert node.end("late") == []


def test_an_unchained_stream_loses_its_previous_signatures() -> None:
    committee = Committee(TOY_UNCHAINED)
    node = Behind(committee=committee)
    node.want(2)
    node.receive([Beacon(b.round, b.signature, b"whatever") for b in committee.beacons(1, 2)])
    assert node.checks[0].beacons == committee.beacons(1, 2)


@given(
    drops=st.lists(st.integers(1, 6), max_size=12),
    lies=st.dictionaries(st.integers(1, 40), st.sampled_from(["n0:1", "n2:1", "n3:1"]), max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_with_one_honest_peer_every_round_arrives_whatever_the_others_do(
    drops: list[int], lies: dict[int, str]
) -> None:
    node = Behind()
    sizes = iter(drops)
    for _ in range(3):  # one honest peer: n4; a sync that failed is wanted again
        pending = node.sync.want(Round(40), node.chain.head)
        while pending:
            effect = pending.pop(0)
            if isinstance(effect, CheckBeacons):
                bad = frozenset(b.round for b in effect.beacons if b != COMMITTEE.beacon(b.round))
                verified = node.sync.on_checked(BeaconsChecked(effect.check_id, bad), node.chain.head)
                node.chain.extend(verified.beacons)
                pending += verified.effects
            elif isinstance(effect, FetchBeacons):
                size = 40 if effect.peer.address == "n4:1" else next(sizes, 3)
                rounds = range(effect.from_round, min(effect.up_to, effect.from_round + size - 1) + 1)
                sent = []
                for round_ in rounds:
                    sent.append(
                        COMMITTEE.lie(round_) if lies.get(round_) == effect.peer.address else COMMITTEE.beacon(round_)
                    )
                pending += node.sync.on_beacons(BeaconsReceived(effect.call_id, tuple(sent)), node.chain.head)
                pending += node.sync.on_ended(StreamEnded(effect.call_id, None))
    assert node.head == 40


def test_a_beacon_is_appended_only_right_after_the_head() -> None:
    chain = Chain(COMMITTEE.group, COMMITTEE.beacon(4))
    for wrong in (COMMITTEE.beacon(4), COMMITTEE.beacon(6)):
        with pytest.raises(InvalidBeacon, match="invalid round inserted: last 4"):
            chain.append(wrong)
    with pytest.raises(InvalidBeacon, match="invalid previous signature for 5"):
        chain.extend([Beacon(Round(5), bytes(16), bytes(16))])
    with pytest.raises(InvalidBeacon, match="has a signature of 3 bytes"):
        check_follows(chain.head, Beacon(Round(5), b"abc", chain.head.signature), COMMITTEE.scheme)
    assert chain.head == COMMITTEE.beacon(4)
    assert chain.extend(COMMITTEE.beacons(3, 6)) == COMMITTEE.beacons(5, 6)


def test_the_genesis_of_another_network_is_no_beginning() -> None:
    with pytest.raises(ForeignChain):
        Chain(COMMITTEE.group, Beacon(Round(0), bytes(32)))
