"""What the store keeps of a ceremony comes back as it was, or not at all."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed
from drand.model.chain import Index
from drand.model.group import Group
from drand.model.records import BundleKept, CeremonyStarted, Epoch, JournalRecord, Phase, PhaseEntered
from drand.model.vault_messages import UserEntropy
from drand.wire.gen import journal_pb2
from drand.wire.journal import decode_epoch, decode_journal_record, encode_epoch, encode_journal_record
from tests.support.wire_samples import assert_only_malformed, bundles, damaged, group, groups, u32

times = st.floats(allow_nan=False, allow_infinity=False)
ceremonies = st.builds(
    CeremonyStarted,
    group=groups(finished=False),
    leader=st.booleans(),
    phase_s=u32,
    started_unix_s=times,
    old_group=st.none() | groups(finished=True),
    entropy=st.none() | st.builds(UserEntropy, st.text(max_size=100), st.booleans()),
)
records: st.SearchStrategy[JournalRecord] = (
    ceremonies | st.builds(BundleKept, bundles()) | st.builds(PhaseEntered, st.sampled_from(Phase), times)
)

EPOCH = Epoch(group=group(), index=Index(1), epoch_id=b"epoch")
CEREMONY = CeremonyStarted(group=group(finished=False), leader=True, phase_s=10, started_unix_s=1.5)
ENTERED = PhaseEntered(Phase.RESPONDING, 2.5)
WRITTEN = [encode_epoch(EPOCH), encode_journal_record(CEREMONY), encode_journal_record(ENTERED)]


@given(records)
def test_a_record_of_a_ceremony_comes_back_as_it_was(record: JournalRecord) -> None:
    assert decode_journal_record(encode_journal_record(record)) == record


@given(groups(finished=True), st.binary(max_size=64), st.data())
def test_an_epoch_comes_back_as_it_was(finished: Group, epoch_id: bytes, data: st.DataObject) -> None:
    index = data.draw(st.sampled_from([node.index for node in finished.nodes]))
    epoch = Epoch(group=finished, index=index, epoch_id=epoch_id)
    assert decode_epoch(encode_epoch(epoch)) == epoch


@given(st.binary(max_size=200) | damaged(WRITTEN))
def test_damaged_records_are_refused_and_nothing_worse(data: bytes) -> None:
    assert_only_malformed(decode_epoch, data)
    assert_only_malformed(decode_journal_record, data)


def test_a_record_of_another_format_names_both_formats() -> None:
    other = journal_pb2.Entry(version=2, phase_entered=journal_pb2.PhaseEntered(phase=journal_pb2.PHASE_DEALING))
    with pytest.raises(Malformed, match="format 2, this version reads format 1"):
        decode_journal_record(other.SerializeToString())


def test_an_epoch_is_no_record_of_a_ceremony_and_the_other_way_round() -> None:
    with pytest.raises(Malformed, match="found epoch"):
        decode_journal_record(encode_epoch(EPOCH))
    with pytest.raises(Malformed, match="found phase_entered"):
        decode_epoch(encode_journal_record(ENTERED))


def test_an_epoch_needs_a_public_key_and_us_in_the_group() -> None:
    with pytest.raises(Malformed, match="no public key"):
        decode_epoch(encode_epoch(replace(EPOCH, group=group(finished=False))))
    with pytest.raises(Malformed, match="nobody at index 9"):
        decode_epoch(encode_epoch(replace(EPOCH, index=Index(9))))


def test_a_group_whose_exact_period_is_not_its_rounded_one_is_refused() -> None:
    entry = journal_pb2.Entry.FromString(encode_epoch(EPOCH))
    entry.epoch.group.period_ns += 1_000_000_000
    with pytest.raises(Malformed, match="periods"):
        decode_epoch(entry.SerializeToString())


def test_a_time_that_is_no_number_and_a_phase_nobody_knows_are_refused() -> None:
    with pytest.raises(Malformed, match="time"):
        decode_journal_record(encode_journal_record(PhaseEntered(Phase.DEALING, float("nan"))))
    entry = journal_pb2.Entry.FromString(encode_journal_record(ENTERED))
    entry.phase_entered.phase = 77  # type: ignore[assignment]
    with pytest.raises(Malformed, match="phase 77"):
        decode_journal_record(entry.SerializeToString())
