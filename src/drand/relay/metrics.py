"""Prometheus metrics of a relay, under v1.5.11's names where it has them (http_*)."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from collective.errors import Unavailable
from drand.net.addresses import HostPort, parse_host_port
from drand.net.http_watch import DURATIONS_S, Tally
from drand.relay.links import Counted

Heads = Callable[[], dict[str, tuple[int, int]]]  # beacon id -> last round, expected round


class RelayCollector(Collector):
    """Reads the relay's numbers when it is asked for them."""

    def __init__(
        self,
        counted: Callable[[], Sequence[Counted]],
        heads: Heads,
        lies: dict[str, int],
        deaths: Callable[[], int],
    ) -> None:
        self._counted = counted
        self._heads = heads
        self._lies = lies
        self._deaths = deaths

    def collect(self) -> Iterable[Metric]:
        """All families."""
        workers = self._counted()
        total = Tally()
        for worker in workers:
            total.merge(worker.tally())
        yield from _http(total)
        yield GaugeMetricFamily("http_in_flight", "Requests being served", sum(one.in_flight for one in workers))
        yield GaugeMetricFamily("http_event_readers", "Open streams", sum(one.readers for one in workers))
        slow = CounterMetricFamily("http_event_readers_dropped", "Readers dropped because they did not read")
        slow.add_metric([], sum(one.dropped for one in workers))
        yield slow
        last = GaugeMetricFamily("last_beacon_round", "Last round served", labels=["beacon_id"])
        behind = GaugeMetricFamily("relay_rounds_behind", "Rounds due and not here", labels=["beacon_id"])
        for beacon_id, (head, expected) in self._heads().items():
            last.add_metric([beacon_id], head)
            behind.add_metric([beacon_id], max(expected - head, 0))
        yield last
        yield behind
        lies = CounterMetricFamily("upstream_lies", "Proved lies of upstreams", labels=["source"])
        for source, count in dict(self._lies).items():
            lies.add_metric([source], count)
        yield lies
        deaths = CounterMetricFamily("relay_worker_deaths", "Worker processes that died or were replaced")
        deaths.add_metric([], self._deaths())
        yield deaths


def _http(total: Tally) -> Iterable[Metric]:
    calls = CounterMetricFamily("http_call_counter", "HTTP requests answered", labels=["code", "method"])
    for (status, method), count in total.calls.items():
        calls.add_metric([status, method], count)
    # v1.5.11 names its counter without the suffix that this library gives to counters
    yield _plainly_named(calls, "http_call_counter")
    durations = HistogramMetricFamily("http_response_duration", "Seconds", labels=["handler", "method"])
    for method, slots in total.slots.items():
        running, buckets = 0, []
        for bound, count in zip((*DURATIONS_S, float("inf")), slots, strict=True):
            running += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(running)))
        durations.add_metric(["http", method], buckets, total.seconds.get(method, 0.0))
    yield durations


def _plainly_named(family: CounterMetricFamily, name: str) -> Metric:
    plain = Metric(name, family.documentation, "unknown")
    plain.samples = [sample._replace(name=name) for sample in family.samples if sample.name.endswith("_total")]
    return plain


class MetricsPort:
    """The HTTP port where metrics are read."""

    def __init__(self, collector: RelayCollector) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(collector)
        self._close: Callable[[], None] = lambda: None

    def serve(self, address: str) -> HostPort:
        """Open the port ([host:]port, loopback without a host). Raises Unavailable, MalformedAddress."""
        place = parse_host_port(address if ":" in address else f"127.0.0.1:{address}")
        try:
            server, thread = start_http_server(place.port, place.host, self.registry)
        except OSError as error:
            raise Unavailable(
                f"cannot serve metrics on {place}: {error.strerror}", hint="choose another --metrics port"
            ) from error

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._close = close
        return HostPort(place.host, int(server.server_port))

    def close(self) -> None:
        """Close the port."""
        self._close()
        self._close = lambda: None
