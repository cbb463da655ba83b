"""What every beacon store does: one suite, run against each of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drand.model.chain import Beacon, Index, Round
from drand.model.records import (
    BeaconsStored,
    BeaconStored,
    CeremonyEnded,
    CeremonyStarted,
    Epoch,
    EpochStarted,
)
from drand.store.contract import BeaconStore, OutOfOrder, StoreFailed
from drand.store.memory import MemoryStore
from drand.store.sqlite import open_reader, open_store
from tests.support.stored import BUNDLE, ENTERED, EPOCH, STARTED, chain, group

Maker = Callable[[bool], BeaconStore]


@pytest.fixture(params=["sqlite", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    made: list[BeaconStore] = []

    def maker(chained: bool) -> BeaconStore:
        if request.param == "memory":
            made.append(MemoryStore(chained=chained))
        else:
            made.append(open_store(tmp_path / f"db{len(made)}" / "drand.sqlite", chained=chained))
        return made[-1]

    yield maker
    for store in made:
        store.close()


@pytest.fixture
def store(make: Maker) -> BeaconStore:
    return make(True)


def test_an_empty_store_has_nothing(store: BeaconStore):
    assert store.last() is None
    assert store.get(Round(0)) is None
    assert store.range(Round(0), 10) == []
    assert store.count() == 0
    assert store.epoch() is None
    assert store.journal() == ()


@pytest.mark.parametrize("chained", [True, False])
def test_what_was_appended_comes_back(make: Maker, chained: bool):
    store, beacons = make(chained), chain(20, chained=chained)
    store.append(beacons[:1])
    store.append(beacons[1:15])
    for beacon in beacons[15:]:
        store.persist(BeaconStored(beacon))
    assert store.last() == beacons[20]
    assert store.count() == 21
    assert [store.get(beacon.round) for beacon in beacons] == beacons
    assert store.range(Round(0), 100) == beacons


def test_a_range_has_at_most_so_many_beacons_ascending(store: BeaconStore):
    beacons = chain(10)
    store.persist(BeaconsStored(tuple(beacons)))
    assert store.range(Round(0), 1) == beacons[:1]
    assert store.range(Round(1), 2) == beacons[1:3]
    assert store.range(Round(9), 5) == beacons[9:]
    assert store.range(Round(11), 5) == []
    assert store.range(Round(3), 0) == []
    assert store.range(Round(3), -1) == []


@pytest.mark.parametrize("round_", [11, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_round_that_is_not_there_is_none(store: BeaconStore, round_: int):
    store.append(chain(10))
    assert store.get(Round(round_)) is None
    assert store.range(Round(round_), 10) == []
    assert store.delete_from(Round(round_)) == 0


def test_the_first_beacon_is_that_of_round_0(store: BeaconStore):
    with pytest.raises(OutOfOrder, match="the next one to store is 0"):
        store.append(chain(2)[1:])
    assert store.count() == 0


def test_a_gap_is_refused(store: BeaconStore):
    beacons = chain(5)
    store.append(beacons[:2])
    with pytest.raises(OutOfOrder, match="round 3 does not follow"):
        store.append(beacons[3:])
    assert store.last() == beacons[1]


def test_a_batch_with_a_gap_inside_leaves_nothing_behind(store: BeaconStore):
    beacons = chain(5)
    with pytest.raises(OutOfOrder):
        store.append([*beacons[:3], *beacons[4:]])
    assert store.count() == 0
    store.append(beacons)
    assert store.count() == 6


def test_a_stored_beacon_is_passed_over_when_it_comes_again(store: BeaconStore):
    beacons = chain(5)
    store.append(beacons[:4])
    store.append(beacons)
    store.append([beacons[5], beacons[5]])
    assert store.range(Round(0), 10) == beacons


def test_a_batch_may_repeat_what_it_brought_itself(store: BeaconStore):
    beacons = chain(2)
    store.append([beacons[0], beacons[1], beacons[1], beacons[2], beacons[1]])
    assert store.range(Round(0), 10) == beacons


@pytest.mark.parametrize("chained", [True, False])
def test_a_round_never_gets_a_second_value(make: Maker, chained: bool):
    store, beacons = make(chained), chain(5, chained=chained)
    store.append(beacons)
    other = chain(5, chained=chained, salt="fork")
    with pytest.raises(OutOfOrder, match="round 5 is stored with another signature"):
        store.append([Beacon(Round(5), other[5].signature, beacons[5].previous_signature)])
    with pytest.raises(OutOfOrder, match="another"):
        store.append(other[1:])
    assert store.range(Round(0), 10) == beacons


def test_a_beacon_chains_to_the_one_stored_before_it(store: BeaconStore):
    beacons = chain(5)
    store.append(beacons[:5])
    with pytest.raises(OutOfOrder, match="does not chain"):
        store.append([Beacon(Round(5), beacons[5].signature, b"x" * 48)])
    with pytest.raises(OutOfOrder, match="another previous signature"):
        store.append([Beacon(Round(4), beacons[4].signature, b"x" * 48)])
    assert store.last() == beacons[4]


def test_an_unchained_store_keeps_no_previous_signature(make: Maker):
    store = make(False)
    store.append([Beacon(Round(0), b"seed"), Beacon(Round(1), b"one", b"carried along by a Go node")])
    assert store.last() == Beacon(Round(1), b"one")


@given(sizes=st.lists(st.integers(0, 4), max_size=6))
def test_the_sizes_of_the_batches_do_not_matter(sizes: list[int]):
    store, beacons, at = MemoryStore(chained=True), chain(24), 0
    for size in sizes:
        store.append(beacons[at : at + size])
        at += size
    assert store.range(Round(0), 100) == beacons[:at]


def test_rounds_are_deleted_from_the_end_and_can_be_appended_again(store: BeaconStore):
    beacons = chain(10)
    store.append(beacons)
    assert store.delete_from(Round(7)) == 4
    assert store.last() == beacons[6]
    assert store.count() == 7
    store.append(beacons[7:])
    assert store.range(Round(0), 20) == beacons
    assert store.delete_from(Round(0)) == 11
    assert store.last() is None


def test_a_ceremony_opens_extends_and_replaces_the_journal(store: BeaconStore):
    for record in (STARTED, BUNDLE, ENTERED):
        store.persist(record)
    assert store.journal() == (STARTED, BUNDLE, ENTERED)
    again = CeremonyStarted(group=group(genesis_unix_s=1_800_000_000), leader=False, phase_s=3, started_unix_s=9)
    store.persist(again)
    assert store.journal() == (again,)


def test_records_given_together_are_kept_in_their_order(store: BeaconStore):
    beacons = chain(2)
    store.persist(STARTED, ENTERED, BUNDLE)
    assert store.journal() == (STARTED, ENTERED, BUNDLE)
    store.persist(EpochStarted(EPOCH), BeaconStored(beacons[0]), BeaconStored(beacons[1]))
    assert (store.journal(), store.epoch(), store.last()) == ((), EPOCH, beacons[1])


def test_of_records_given_together_all_are_kept_or_none(store: BeaconStore):
    store.persist(STARTED)
    with pytest.raises(OutOfOrder):
        store.persist(BUNDLE, BeaconStored(chain(3)[0]), EpochStarted(EPOCH), BeaconStored(chain(3)[3]))
    assert (store.journal(), store.epoch(), store.last()) == ((STARTED,), None, None)
    store.persist(BUNDLE)
    assert store.journal() == (STARTED, BUNDLE)


def test_a_failed_ceremony_closes_the_journal_and_leaves_the_epoch(store: BeaconStore):
    store.persist(EpochStarted(EPOCH))
    store.persist(STARTED)
    store.persist(CeremonyEnded("nobody came"))
    assert store.journal() == ()
    assert store.epoch() == EPOCH


def test_an_epoch_closes_the_journal_and_the_newest_one_counts(store: BeaconStore):
    store.persist(STARTED)
    store.persist(EpochStarted(EPOCH))
    assert (store.journal(), store.epoch()) == ((), EPOCH)
    later = Epoch(group=EPOCH.group, index=Index(0), epoch_id=b"f" * 32)
    store.persist(EpochStarted(later))
    assert store.epoch() == later


def test_a_backup_is_a_store_of_its_own_and_private(store: BeaconStore, tmp_path: Path):
    beacons, target = chain(50), tmp_path / "backup.sqlite"
    target.write_bytes(b"an older backup")
    store.append(beacons)
    store.persist(STARTED)
    store.persist(EpochStarted(EPOCH))
    store.persist(BUNDLE)
    store.backup(target)
    assert target.stat().st_mode & 0o777 == 0o600
    copy = open_reader(target)
    assert copy.range(Round(0), 100) == beacons
    assert (copy.epoch(), copy.journal()) == (EPOCH, (BUNDLE,))
    copy.close()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["backup.sqlite"]


def test_a_backup_into_a_missing_folder_fails_by_name(store: BeaconStore, tmp_path: Path):
    with pytest.raises(StoreFailed, match="cannot write the backup"):
        store.backup(tmp_path / "nowhere" / "backup.sqlite")


def test_a_closed_store_answers_nothing(store: BeaconStore, tmp_path: Path):
    store.close()
    store.close()
    for ask in (
        store.last,
        store.count,
        store.epoch,
        store.journal,
        lambda: store.get(Round(0)),
        lambda: store.range(Round(0), 1),
        lambda: store.append(chain(0)),
        lambda: store.persist(STARTED),
        lambda: store.delete_from(Round(0)),
        lambda: store.backup(tmp_path / "backup"),
    ):
        with pytest.raises(StoreFailed, match="closed"):
            ask()
