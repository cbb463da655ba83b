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
    from drand.client.errors import ClientError
    from drand.client.grpc_source import GrpcSource
    from drand.client.http_source import HttpSource
    from drand.client.observing import Observer
    from drand.client.pool import Policy
    from drand.client.sampling import Sampler
    from drand.client.sources import Source
    from drand.client.store_source import StoreSource
    from drand.client.sync_client import Client
    from drand.client.times import round_at, time_of

_HOMES = {
    "AsyncClient": "async_client",
    "Client": "sync_client",
    "ClientError": "errors",
    "GrpcSource": "grpc_source",
    "HttpSource": "http_source",
    "Observer": "observing",
    "Policy": "pool",
    "Provenance": "beacon",
    "Sampler": "sampling",
    "Source": "sources",
    "StoreSource": "store_source",
    "VerifiedBeacon": "beacon",
    "round_at": "times",
    "time_of": "times",
}

__all__ = [
    "AsyncClient",
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
    "round_at",
    "time_of",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
