"""Prometheus metrics, under the names that v1.5.11's dashboards use.

Go's counters carry no `_total`, which prometheus-client would add, so they are gauges here; `rate()` minds no type.
Source: drand v1.5.11, metrics/metrics.go.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from collective.clock import Clock
from collective.errors import Unavailable
from drand.daemon.counts import Counts
from drand.daemon.metrics_port import MetricsPort
from drand.model.group import Group
from drand.model.packets import OUR_VERSION
from drand.net.addresses import HostPort, parse_host_port
from drand.net.http_watch import DURATIONS_S, METHODS, Watch
from drand.protocol.ceremony_view import State
from drand.protocol.steps import CulpritNamed, Fact, RoundMade, RoundMissed, SyncProgressed

DKG_STATES = {State.IDLE: 0, State.LEADING: 1, State.JOINING: 1, State.GENERATING: 2, State.RUNNING: 3}
DKG_SHUTDOWN = 5
SQLITE = 4  # drand_node_db: 1 bolt, 2 postgres, 3 memdb in Go
CONNECTED, FAILING = 2, 3  # outgoing_connection_state, as gRPC counts its states


class Metrics(Counts):
    """The registry of one daemon, and its HTTP port when there is one."""

    def __init__(self, clock: Clock) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._clock = clock
        self._group_size = self._of_beacon("group_size", "Number of nodes in the group")
        self._threshold = self._of_beacon("group_threshold", "Number of partials that make a round")
        self._last_round = self._of_beacon("last_beacon_round", "Last stored round")
        self._latency = self._of_beacon(
            "beacon_discrepancy_latency", "Stored time minus due time of the last round, in ms"
        )
        self._dkg_state = self._of_beacon(
            "dkg_state", "0 not started, 1 waiting, 2 in progress, 3 done, 4 unknown, 5 shutdown"
        )
        self._dkg_state_since = self._of_beacon("dkg_state_timestamp", "When dkg_state changed, unix time in seconds")
        self._dkg_leader = self._of_beacon("dkg_leader", "1 while this node leads a ceremony")
        self._reshare_state = self._of_beacon("reshare_state", "0 idle: this version does not reshare")
        self._reshare_state_since = self._of_beacon("reshare_state_timestamp", "When reshare_state changed, unix time")
        self._reshare_leader = self._of_beacon("reshare_leader", "0: this version does not reshare")
        self._missed = self._of_beacon("beacon_rounds_behind", "Ticks that found the chain behind")
        self._culprits = self._gauge("culprits_named", "Protocol breaches seen", "beacon_id", "node")
        self._disagreements = self._of_beacon("chain_disagreements", "Members that hold another chain than this node")
        self._partials = self._gauge(
            "error_sending_partial", "1 when the last partial did not get there", "beaconID", "address"
        )
        self._connections = self._gauge(
            "outgoing_connection_state", "2 when the last partial got there, 3 when it did not", "remote_host"
        )
        self._connected = self._gauge("outgoing_group_connections", "Members of groups that the last partial reached")
        self._reached: set[str] = set()
        self._dial_failures = self._gauge("dial_failures", "Partials that did not get there", "peer_address")
        self._displaced = self._gauge("messages_displaced", "Messages given up because too many were under way")
        self._calls = self._gauge("api_call_counter", "Calls of peers and operator, by method", "api_method")
        self._http_calls = self._gauge("http_call_counter", "HTTP requests, by answer", "code", "method")
        self._http: dict[tuple[str, int], Gauge] = {}
        self._states: dict[str, int] = {}
        self._port: MetricsPort | None = None
        self._constants()

    def _constants(self) -> None:
        self._gauge("is_drand_node", "1").set(1)
        self._gauge("drand_node_db", "Kind of store: 1 bolt, 2 postgres, 3 memdb, 4 sqlite", "db_type").labels(
            "sqlite"
        ).set(SQLITE)
        self._gauge("drand_start_timestamp", "When this process started, unix time in seconds").set(self._clock.now())
        self._gauge("drand_build_time", "0: not known; the labels tell what runs", "build", "version").labels(
            "pydrand", str(OUR_VERSION)
        ).set(0)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self.registry)

    def _of_beacon(self, name: str, about: str) -> Gauge:
        return self._gauge(name, about, "beacon_id")

    # ------------------------------------------------------------ the port

    def serve(self, address: str) -> HostPort:
        """Open the port ([host:]port, loopback without a host); returns where it listens. Raises Unavailable."""
        place = parse_host_port(address if ":" in address else f"127.0.0.1:{address}")
        try:
            self._port = MetricsPort(place, make_wsgi_app(self.registry))
        except OSError as error:
            raise Unavailable(
                f"cannot serve metrics on {place}: {error.strerror}", hint="choose another --metrics port"
            ) from error
        return HostPort(place.host, int(self._port.server_port))

    def close(self) -> None:
        """Close the port; takes up to half a second."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    # ------------------------------------------------------------ what is counted

    def settled(self, beacon_id: str, group: Group) -> None:
        """A beacon has a group."""
        self._group_size.labels(beacon_id).set(len(group.nodes))
        self._threshold.labels(beacon_id).set(group.threshold)
        self._reshare_state.labels(beacon_id).set(0)
        self._reshare_state_since.labels(beacon_id).set(self._clock.now())
        self._reshare_leader.labels(beacon_id).set(0)

    def stands(self, beacon_id: str, state: State) -> None:
        """Where a beacon stands after what happened."""
        self._set_state(beacon_id, DKG_STATES[state])
        self._dkg_leader.labels(beacon_id).set(int(state is State.LEADING))

    def unloaded(self, beacon_id: str) -> None:
        """A beacon was stopped."""
        self._set_state(beacon_id, DKG_SHUTDOWN)

    def _set_state(self, beacon_id: str, state: int) -> None:
        if self._states.get(beacon_id) != state:
            self._states[beacon_id] = state
            self._dkg_state.labels(beacon_id).set(state)
            self._dkg_state_since.labels(beacon_id).set(self._clock.now())

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
            case _:
                return

    def sent(self, beacon_id: str, outcome: Mapping[str, bool]) -> None:
        """A partial was sent: by the address of a member, whether it got there."""
        for address, reached in outcome.items():
            self._partials.labels(beacon_id, address).set(int(not reached))
            self._connections.labels(address).set(CONNECTED if reached else FAILING)
            if reached:
                self._reached.add(address)
            else:
                self._reached.discard(address)
                self._dial_failures.labels(address).inc()
        self._connected.set(len(self._reached))

    def compared(self, beacon_id: str, others: int) -> None:
        """Members were asked for their chain; `others` hold another one than this node."""
        self._disagreements.labels(beacon_id).set(others)

    def called(self, method: str) -> None:
        """A peer or the operator called."""
        self._calls.labels(method).inc()

    def answered(self, method: str, code: int) -> None:
        """An HTTP request was answered. What callers make up as a method is counted as one."""
        name = method.lower()
        key = (name if name in METHODS else "unknown", code)
        gauge = self._http.get(key)
        if gauge is None:  # looking labels up costs more than counting
            gauge = self._http[key] = self._http_calls.labels(str(code), key[0])
        gauge.inc()

    def count_displaced(self, so_far: Callable[[], int]) -> None:
        """Serve how many messages to peers were given up because too many were under way; asked at each scrape."""
        self._displaced.set_function(so_far)

    def time_http(self, watch: Watch) -> None:
        """Serve how many HTTP requests are under way, and how long answers took."""
        self.registry.register(_HttpTimes(watch))


class _HttpTimes(Collector):
    """http_in_flight and http_response_duration, out of what the HTTP port's watch has counted."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterable[Metric]:
        """Both families; the loop goes on counting meanwhile."""
        yield GaugeMetricFamily("http_in_flight", "Requests being served", self._watch.in_flight)
        durations = HistogramMetricFamily("http_response_duration", "Seconds", labels=["handler", "method"])
        for method, slots in dict(self._watch.tally.slots).items():
            up_to = accumulate(slots)
            buckets = [(str(bound), float(count)) for bound, count in zip(DURATIONS_S, up_to, strict=False)]
            buckets.append(("+Inf", float(sum(slots))))
            durations.add_metric(["http", method], buckets, self._watch.tally.seconds.get(method, 0.0))
        yield durations
