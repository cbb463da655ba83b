"""Which beacon a message is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from drand.errors import UnknownBeacon
from drand.model.packets import Metadata, Version
from drand.net.errors import IncompatibleVersion
from drand.net.routing import beacon_meant, require_compatible, version_check_wanted

KNOWN, OTHER, UNKNOWN = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32


@dataclass
class Beacons:
    """Two beacons with a chain, one that waits for its ceremony."""

    chains: dict[bytes, str] = field(default_factory=lambda: {KNOWN: "default", OTHER: "other"})
    waiting: tuple[str, ...] = ("new",)

    def is_running(self, beacon_id: str) -> bool:
        return self.has_group(beacon_id) or beacon_id in self.waiting

    def has_group(self, beacon_id: str) -> bool:
        return beacon_id in self.chains.values()

    def chain_ids(self) -> Mapping[bytes, str]:
        return self.chains


@pytest.mark.parametrize(
    ("beacon_id", "chain_hash", "meant"),
    [
        ("", b"", "default"),
        ("default", b"", "default"),
        ("other", b"", "other"),
        ("", OTHER, "other"),
        ("other", OTHER, "other"),
        ("default", KNOWN, "default"),
        ("new", UNKNOWN, "new"),
    ],
)
def test_the_chain_hash_decides_then_the_id(beacon_id: str, chain_hash: bytes, meant: str):
    assert beacon_meant(Metadata(None, beacon_id, chain_hash), Beacons()) == meant


@pytest.mark.parametrize(
    ("beacon_id", "chain_hash", "why"),
    [
        ("absent", b"", r"beacon id \[absent\] is not running"),
        ("other", KNOWN, "invalid chain hash: 'other' != 'default'"),
        ("", UNKNOWN, r"unknown chain hash: 0303.* out of map\[0101.*:default 0202.*:other\]"),
        ("other", UNKNOWN, "unknown chain hash"),
        ("absent", UNKNOWN, "unknown chain hash"),
    ],
)
def test_what_fits_no_beacon_is_refused_in_gos_words(beacon_id: str, chain_hash: bytes, why: str):
    with pytest.raises(UnknownBeacon, match=why):
        beacon_meant(Metadata(None, beacon_id, chain_hash), Beacons())


def test_a_caller_without_a_version_is_let_in():
    require_compatible(Metadata())
    with pytest.raises(IncompatibleVersion):
        require_compatible(Metadata(Version(1, 2, 0)))


def test_only_a_one_switches_the_check_off():
    assert version_check_wanted({})
    assert version_check_wanted({"DISABLE_VERSION_CHECK": "true"})
    assert not version_check_wanted({"DISABLE_VERSION_CHECK": "1"})
