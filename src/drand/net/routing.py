"""Which of a daemon's beacons a message is about, and which versions may speak to it.

Source: drand v1.5.11, core/drand_daemon_helper.go (readBeaconID) and core/drand_daemon_interceptors.go.
"""

from collections.abc import Mapping
from typing import Protocol

from drand.errors import UnknownBeacon
from drand.model.chain import canonical_beacon_id
from drand.model.packets import OUR_VERSION, Metadata
from drand.net.errors import IncompatibleVersion

DISABLE_VARIABLE = "DISABLE_VERSION_CHECK"


class RunningBeacons(Protocol):
    """What the daemon knows about its beacons."""

    def is_running(self, beacon_id: str) -> bool:
        """A process for this canonical id is loaded."""
        ...

    def has_group(self, beacon_id: str) -> bool:
        """It has been through a ceremony, so its chain hash is known."""
        ...

    def chain_ids(self) -> Mapping[bytes, str]:
        """Canonical ids by chain hash."""
        ...


def beacon_meant(metadata: Metadata, beacons: RunningBeacons) -> str:
    """The canonical id of the beacon that `metadata` names; raises UnknownBeacon.

    A known chain hash decides, and an id beside it must agree. An unknown one is let through only to a beacon that
    has no group yet: it cannot know its hash. Without a hash the id decides; the empty one is "default".
    """
    if metadata.chain_hash:
        chains = beacons.chain_ids()
        known = chains.get(metadata.chain_hash)
        if known is not None:
            if metadata.beacon_id and canonical_beacon_id(metadata.beacon_id) != known:
                raise UnknownBeacon(f"invalid chain hash: '{metadata.beacon_id}' != '{known}'")
            return _running(known, beacons)
        claimed = canonical_beacon_id(metadata.beacon_id)
        if beacons.is_running(claimed) and not beacons.has_group(claimed):
            return claimed
        listed = " ".join(f"{chain.hex()}:{name}" for chain, name in sorted(chains.items()))
        raise UnknownBeacon(f"unknown chain hash: {metadata.chain_hash.hex()} out of map[{listed}]")
    return _running(canonical_beacon_id(metadata.beacon_id), beacons)


def _running(beacon_id: str, beacons: RunningBeacons) -> str:
    if not beacons.is_running(beacon_id):
        raise UnknownBeacon(f"beacon id [{beacon_id}] is not running")
    return beacon_id


def version_check_wanted(environment: Mapping[str, str]) -> bool:
    """False when the operator switched the check off: DISABLE_VERSION_CHECK=1."""
    return environment.get(DISABLE_VARIABLE) != "1"


def require_compatible(metadata: Metadata) -> None:
    """Raise IncompatibleVersion when the caller names a version that ours does not speak to; none named is fine."""
    if metadata.version is not None and not OUR_VERSION.compatible_with(metadata.version):
        raise IncompatibleVersion(f"Incompatible node version. Current: {OUR_VERSION}, received: {metadata.version}")
