"""Prometheus metrics, under the names that v1.5.11's dashboards use (spec 10.4)."""

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, PlatformCollector, ProcessCollector, start_http_server

from collective.errors import Unavailable
from drand.model.group import Group
from drand.net.addresses import HostPort, parse_host_port
from drand.protocol.steps import (
    CeremonyFailed,
    CeremonyFinished,
    CulpritNamed,
    Fact,
    GroupProposed,
    RoundMade,
    RoundMissed,
    SyncProgressed,
)

DKG_WAITING, DKG_IN_PROGRESS, DKG_DONE, DKG_NOT_STARTED = 1, 2, 3, 0
SQLITE = 4  # drand_node_db: 1 bolt, 2 postgres, 3 memdb in Go


class Metrics:
    """The registry of one daemon, and its HTTP port when there is one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._group_size = self._gauge("group_size", "Number of nodes in the group")
        self._threshold = self._gauge("group_threshold", "Number of partials that make a round")
        self._last_round = self._gauge("last_beacon_round", "Last stored round")
        self._latency = self._gauge("beacon_discrepancy_latency", "Stored time minus due time of the last round, in ms")
        self._dkg_state = self._gauge("dkg_state", "0 not started, 1 waiting, 2 in progress, 3 done")
        self._missed = Counter(
            "beacon_rounds_behind", "Ticks that found the chain behind", ["beacon_id"], registry=self.registry
        )
        self._culprits = Counter(
            "culprits_named", "Protocol breaches seen", ["beacon_id", "node"], registry=self.registry
        )
        Gauge("is_drand_node", "1", registry=self.registry).set(1)
        Gauge(
            "drand_node_db", "Kind of store: 1 bolt, 2 postgres, 3 memdb, 4 sqlite", ["db_type"], registry=self.registry
        ).labels("sqlite").set(SQLITE)
        self._server: tuple[WSGIServer, threading.Thread] | None = None

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, ["beacon_id"], registry=self.registry)

    def serve(self, address: str) -> HostPort:
        """Open the port ([host:]port, loopback without a host); returns where it listens. Raises Unavailable."""
        place = parse_host_port(address if ":" in address else f"127.0.0.1:{address}")
        try:
            self._server = start_http_server(place.port, place.host, self.registry)
        except OSError as error:
            raise Unavailable(
                f"cannot serve metrics on {place}: {error.strerror}", hint="choose another --metrics port"
            ) from error
        return HostPort(place.host, int(self._server[0].server_port))

    def close(self) -> None:
        """Close the port."""
        if self._server is not None:
            server, thread = self._server
            self._server = None
            server.shutdown()
            server.server_close()
            thread.join()

    def settled(self, beacon_id: str, group: Group) -> None:
        """A beacon has a group."""
        self._group_size.labels(beacon_id).set(len(group.nodes))
        self._threshold.labels(beacon_id).set(group.threshold)
        self._dkg_state.labels(beacon_id).set(DKG_DONE)

    def observe(self, beacon_id: str, fact: Fact) -> None:
        """Something happened."""
        match fact:
            case RoundMade(round_, late_s):
                self._last_round.labels(beacon_id).set(round_)
                self._latency.labels(beacon_id).set(late_s * 1000)
            case SyncProgressed(round_, _):
                self._last_round.labels(beacon_id).set(round_)
            case RoundMissed():
                self._missed.labels(beacon_id).inc()
            case CulpritNamed(index, _, _):
                self._culprits.labels(beacon_id, str(index)).inc()
            case GroupProposed():
                self._dkg_state.labels(beacon_id).set(DKG_IN_PROGRESS)
            case CeremonyFinished():
                self._dkg_state.labels(beacon_id).set(DKG_DONE)
            case CeremonyFailed():
                self._dkg_state.labels(beacon_id).set(DKG_NOT_STARTED)
            case _:
                return
