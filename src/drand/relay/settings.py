"""How a relay is set up."""

from dataclasses import dataclass
from pathlib import Path

from collective.errors import BadSetting
from drand.net.addresses import parse_host_port
from drand.net.http_events import DEFAULT_MAX_READERS

MAX_WORKERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """What `drand relay` was told.

    sources      upstream addresses as drand.client.sources writes them: http(s)://, grpc(s)://
    stores       files of nodes on this machine, read while those write
    chains       built-in names, chain hashes or files of chain information; empty: all that the upstreams serve
    archive      one file for the rounds of all chains; None: only what is in memory
    history      fetch past rounds into the archive until it has all
    rate_per_s   requests a client address may make in the long run, of all workers together; 0: any number
    burst        requests it may make at once; 0: twice `rate_per_s`
    max_readers  event streams of each worker
    """

    listen: str = "127.0.0.1:8080"
    sources: tuple[str, ...] = ()
    stores: tuple[Path, ...] = ()
    chains: tuple[str, ...] = ()
    archive: Path | None = None
    history: bool = False
    workers: int = 1
    access_log: str = ""
    metrics: str = ""
    rate_per_s: float = 0.0
    burst: float = 0.0
    max_readers: int = DEFAULT_MAX_READERS
    json_logs: bool = False
    verbose: bool = False

    @property
    def most_at_once(self) -> float:
        """The burst that is meant."""
        return max(self.burst or 2 * self.rate_per_s, 1.0)

    def check(self) -> None:
        """Raise BadSetting for what cannot work, MalformedAddress for a bad address."""
        parse_host_port(self.listen)
        if not self.sources and not self.stores:
            raise BadSetting(
                "no upstream is given", hint="give --url, --grpc or --store; several are used together, with failover"
            )
        if not 1 <= self.workers <= MAX_WORKERS:
            raise BadSetting(f"{self.workers} workers: there must be 1 to {MAX_WORKERS}")
        if self.history and self.archive is None:
            raise BadSetting("--history needs a place to keep it", hint="give --archive FILE")
        if self.rate_per_s < 0 or self.burst < 0:
            raise BadSetting("a rate limit is not negative")
        if self.max_readers < 0:
            raise BadSetting("--max-readers is not negative")
