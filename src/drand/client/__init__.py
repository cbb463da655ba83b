"""The client library: verified randomness from any drand server. `Client` blocks, `AsyncClient` awaits.

    with Client("quicknet") as client:
        beacon = client.latest()
        print(beacon.round, beacon.randomness.hex(), beacon.choice(["heads", "tails"]))

Names are imported when they are first used, so that `import drand.client.chains` alone loads no network code.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drand.client.async_client import AsyncClient
    from drand.client.beacon import Provenance, VerifiedBeacon
    from drand.client.chains import public_chain
    from drand.client.contract import Source
    from drand.client.errors import ClientError
    from drand.client.grpc_source import GrpcSource
    from drand.client.http_source import HttpSource
    from drand.client.observing import Observer
    from drand.client.pool import Policy
    from drand.client.sampling import Sampler
    from drand.client.store_source import StoreSource
    from drand.client.sync_client import Client
    from drand.client.times import round_at, time_of
    from drand.model.chain import Beacon, ChainInfo
    from drand.verifying.verifiers import Verifiers
    from drand.wire.http_json import parse_chain_info

_HOMES = {
    "AsyncClient": "drand.client.async_client",
    "Beacon": "drand.model.chain",
    "ChainInfo": "drand.model.chain",
    "Client": "drand.client.sync_client",
    "ClientError": "drand.client.errors",
    "GrpcSource": "drand.client.grpc_source",
    "HttpSource": "drand.client.http_source",
    "Observer": "drand.client.observing",
    "Policy": "drand.client.pool",
    "Provenance": "drand.client.beacon",
    "Sampler": "drand.client.sampling",
    "Source": "drand.client.contract",
    "StoreSource": "drand.client.store_source",
    "VerifiedBeacon": "drand.client.beacon",
    "Verifiers": "drand.verifying.verifiers",
    "parse_chain_info": "drand.wire.http_json",
    "public_chain": "drand.client.chains",
    "round_at": "drand.client.times",
    "time_of": "drand.client.times",
}

__all__ = [
    "AsyncClient",
    "Beacon",
    "ChainInfo",
    "Client",
    "ClientError",
    "GrpcSource",
    "HttpSource",
    "Observer",
    "Policy",
    "Provenance",
    "Sampler",
    "Source",
    "StoreSource",
    "VerifiedBeacon",
    "Verifiers",
    "parse_chain_info",
    "public_chain",
    "round_at",
    "time_of",
]


if not TYPE_CHECKING:  # type checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
