"""From candidates to an epoch, and from records back to where a process stood."""

import pytest

from collective.errors import MalformedPoint, NotEnoughShares
from drand.errors import InvalidGroup
from drand.model.bundles import Response, ResponseBundle, session_id
from drand.model.chain import Beacon, Index, Round
from drand.model.group import NANOSECONDS, Group, indexed
from drand.model.records import (
    BeaconsStored,
    BeaconStored,
    BundleKept,
    CeremonyEnded,
    CeremonyStarted,
    Epoch,
    EpochStarted,
    Phase,
    PhaseEntered,
)
from drand.protocol.restart import Kept, check_belongs, sort_records
from drand.protocol.transition import fresh_epoch, fresh_terms, qualified_group
from tests.support.people import people

PEOPLE = people(5)
CANDIDATES = Group(
    nodes=indexed(who.identity for who in PEOPLE),
    threshold=3,
    period_ns=3 * NANOSECONDS,
    catchup_period_ns=NANOSECONDS,
    genesis_unix_s=1000,
    genesis_seed=b"",
    scheme=PEOPLE[0].identity.scheme,
).with_seed()
COMMITS = tuple(who.identity.key for who in PEOPLE[:3])
ALL = tuple(Index(i) for i in range(5))
STARTED = CeremonyStarted(group=CANDIDATES, leader=True, phase_s=10, started_unix_s=5.0)
BUNDLE = BundleKept(ResponseBundle(Index(0), (Response(Index(0), True),), b"s"))


def test_everybody_deals_and_holds_in_a_fresh_session_named_by_genesis():
    terms = fresh_terms(CANDIDATES)
    assert terms.session_id == session_id(1000)
    assert terms.dealers == terms.holders
    assert [p.key for p in terms.dealers] == [node.identity.key for node in CANDIDATES.nodes]
    assert (terms.threshold, terms.scheme, terms.old) == (3, CANDIDATES.scheme, None)


def test_the_qualified_keep_their_indices_and_the_seed_stays():
    group = qualified_group(CANDIDATES, {Index(0), Index(2), Index(4)}, COMMITS)
    assert [node.index for node in group.nodes] == [0, 2, 4]
    assert group.public_key == COMMITS
    assert group.genesis_seed == CANDIDATES.genesis_seed
    assert fresh_epoch(CANDIDATES, ALL, COMMITS, Index(2), b"name") == Epoch(
        group=qualified_group(CANDIDATES, ALL, COMMITS), index=Index(2), epoch_id=b"name"
    )


@pytest.mark.parametrize(
    ("qualified", "commits", "error", "complaint"),
    [
        ((0, 1, 7), COMMITS, InvalidGroup, r"\[7\] are no candidates"),
        ((0, 1, 1), COMMITS, NotEnoughShares, "2 nodes qualified, the threshold is 3"),
        (ALL, COMMITS[:2], InvalidGroup, "2 public coefficients for threshold 3"),
        (ALL, (*COMMITS[:2], b"junk"), MalformedPoint, "bytes"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(qualified, commits, error, complaint):
    with pytest.raises(error, match=complaint):
        qualified_group(CANDIDATES, [Index(i) for i in qualified], commits)


def test_an_epoch_without_ourselves_is_refused():
    with pytest.raises(InvalidGroup, match="our node 4 is not among the qualified"):
        fresh_epoch(CANDIDATES, ALL[:4], COMMITS, Index(4), b"name")


def test_a_journal_is_read_back_as_it_was_written():
    entered = PhaseEntered(Phase.DEALING, 6.0)
    assert sort_records(()) == Kept()
    assert sort_records((STARTED, entered, BUNDLE)) == Kept(started=STARTED, journal=(STARTED, entered, BUNDLE))
    assert sort_records((STARTED, BUNDLE, CeremonyEnded("x"))) == Kept()
    with pytest.raises(InvalidGroup, match="lacks its beginning"):
        sort_records((BUNDLE,))


def test_an_epoch_closes_the_journal_and_the_last_beacon_is_the_head():
    epoch = fresh_epoch(CANDIDATES, ALL, COMMITS, Index(2), b"name")
    beacons = tuple(Beacon(Round(r), b"%d" % r) for r in range(4))
    assert sort_records((STARTED, BUNDLE, EpochStarted(epoch))) == Kept(epoch=epoch)
    assert sort_records((EpochStarted(epoch), BeaconStored(beacons[0]))).head == beacons[0]
    assert sort_records((EpochStarted(epoch), BeaconsStored(beacons), BeaconsStored(()))).head == beacons[3]


def test_stored_records_belong_to_a_key_a_beacon_and_a_place():
    mine = CANDIDATES.nodes[2].identity
    check_belongs(CANDIDATES, mine, "default")
    check_belongs(CANDIDATES, mine, "default", Index(2))
    with pytest.raises(InvalidGroup, match="no place for our key"):
        check_belongs(CANDIDATES, mine, "default", Index(1))
    with pytest.raises(InvalidGroup, match="not 'other'"):
        check_belongs(CANDIDATES, mine, "other")
