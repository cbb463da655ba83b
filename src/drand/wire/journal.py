"""The ceremony's journal and the epoch <-> bytes, for the store (journal.proto; ours alone, versioned).

Unlike the wire's, these encodings keep periods to the nanosecond. A record that an older or newer version wrote in
another format, or that a disk has damaged, raises Malformed: nothing is guessed.
"""

import math
from dataclasses import replace
from typing import assert_never

from collective.errors import Malformed
from drand.model.chain import Index
from drand.model.group import NANOSECONDS, Group
from drand.model.records import BundleKept, CeremonyStarted, Epoch, JournalRecord, Phase, PhaseEntered
from drand.model.vault_messages import UserEntropy
from drand.wire.bundles import decode_bundle, encode_bundle
from drand.wire.gen import journal_pb2
from drand.wire.groups import decode_group, encode_group
from drand.wire.protobuf import INT64_MAX, at_most, parsed

VERSION = 1
MAX_EPOCH_ID_BYTES = 256
MAX_SCRIPT_BYTES = 4096

_TO_PHASE = {
    journal_pb2.PHASE_DEALING: Phase.DEALING,
    journal_pb2.PHASE_RESPONDING: Phase.RESPONDING,
    journal_pb2.PHASE_JUSTIFYING: Phase.JUSTIFYING,
    journal_pb2.PHASE_FINISHED: Phase.FINISHED,
    journal_pb2.PHASE_FAILED: Phase.FAILED,
}
_FROM_PHASE = {phase: number for number, phase in _TO_PHASE.items()}


def encode_journal_record(record: JournalRecord) -> bytes:
    """One line of the journal of a running ceremony."""
    entry = journal_pb2.Entry(version=VERSION)
    match record:
        case CeremonyStarted():
            entry.ceremony_started.CopyFrom(_encode_ceremony(record))
        case BundleKept(bundle):
            entry.bundle_kept.CopyFrom(encode_bundle(bundle))
        case PhaseEntered(phase, entered_unix_s):
            entered = journal_pb2.PhaseEntered(phase=_FROM_PHASE[phase], entered_unix_s=entered_unix_s)
            entry.phase_entered.CopyFrom(entered)
        case _:
            assert_never(record)
    return entry.SerializeToString(deterministic=True)


def decode_journal_record(data: bytes) -> JournalRecord:
    """The record in `data`; raises Malformed. A bundle's points were decoded before it was kept, and are not again."""
    entry = _entry(data)
    match entry.WhichOneof("record"):
        case "ceremony_started":
            return _decode_ceremony(entry.ceremony_started)
        case "bundle_kept":
            return BundleKept(decode_bundle(entry.bundle_kept, None))
        case "phase_entered":
            entered = entry.phase_entered
            if entered.phase not in _TO_PHASE:
                raise Malformed(f"journal: unknown phase {entered.phase}")
            return PhaseEntered(_TO_PHASE[entered.phase], _time(entered.entered_unix_s))
        case other:
            raise Malformed(f"journal: a record of a ceremony expected, found {other}")


def encode_epoch(epoch: Epoch) -> bytes:
    """An epoch, written once."""
    message = journal_pb2.Epoch(group=_encode_group(epoch.group), index=epoch.index, epoch_id=epoch.epoch_id)
    return journal_pb2.Entry(version=VERSION, epoch=message).SerializeToString(deterministic=True)


def decode_epoch(data: bytes) -> Epoch:
    """The epoch in `data`; raises Malformed, also when its group has no public key or nobody at its index."""
    entry = _entry(data)
    if entry.WhichOneof("record") != "epoch":
        raise Malformed(f"journal: an epoch expected, found {entry.WhichOneof('record')}")
    group, index = _decode_group(entry.epoch.group), Index(entry.epoch.index)
    if not group.public_key:
        raise Malformed("journal: the group of an epoch has no public key")
    if group.node(index) is None:
        raise Malformed(f"journal: the group of an epoch has nobody at index {index}")
    at_most(entry.epoch.epoch_id, MAX_EPOCH_ID_BYTES, "journal: epoch id")
    return Epoch(group=group, index=index, epoch_id=entry.epoch.epoch_id)


def _entry(data: bytes) -> journal_pb2.Entry:
    entry = parsed(journal_pb2.Entry, data)
    if entry.version != VERSION:
        raise Malformed(
            f"journal: a record of format {entry.version}, this version reads format {VERSION}",
            hint="the database was written by another version of pydrand, or is damaged",
        )
    return entry


def _time(unix_s: float) -> float:
    if not math.isfinite(unix_s):
        raise Malformed("journal: a time that is no number")
    return unix_s


def _encode_group(group: Group) -> journal_pb2.Group:
    return journal_pb2.Group(
        packet=encode_group(group), period_ns=group.period_ns, catchup_period_ns=group.catchup_period_ns
    )


def _decode_group(message: journal_pb2.Group) -> Group:
    """The group with its full periods, which must be those of the packet once truncated."""
    group = decode_group(message.packet)
    exact = (message.period_ns, message.catchup_period_ns)
    if max(exact) > INT64_MAX or any(
        kept // NANOSECONDS != rounded // NANOSECONDS
        for kept, rounded in zip(exact, (group.period_ns, group.catchup_period_ns), strict=True)
    ):
        raise Malformed("journal: the periods of a group contradict each other")
    return replace(group, period_ns=message.period_ns, catchup_period_ns=message.catchup_period_ns)


def _encode_ceremony(record: CeremonyStarted) -> journal_pb2.CeremonyStarted:
    return journal_pb2.CeremonyStarted(
        group=_encode_group(record.group),
        leader=record.leader,
        dkg_timeout_s=record.phase_s,
        started_unix_s=record.started_unix_s,
        old_group=None if record.old_group is None else _encode_group(record.old_group),
        entropy=None if record.entropy is None else _encode_entropy(record.entropy),
    )


def _decode_ceremony(message: journal_pb2.CeremonyStarted) -> CeremonyStarted:
    return CeremonyStarted(
        group=_decode_group(message.group),
        leader=message.leader,
        phase_s=message.dkg_timeout_s,
        started_unix_s=_time(message.started_unix_s),
        old_group=_decode_group(message.old_group) if message.HasField("old_group") else None,
        entropy=_decode_entropy(message.entropy) if message.HasField("entropy") else None,
    )


def _encode_entropy(entropy: UserEntropy) -> journal_pb2.Entropy:
    return journal_pb2.Entropy(script=entropy.script, user_only=entropy.user_only)


def _decode_entropy(message: journal_pb2.Entropy) -> UserEntropy:
    at_most(message.script.encode(), MAX_SCRIPT_BYTES, "journal: path of a randomness script")
    return UserEntropy(message.script, message.user_only)
