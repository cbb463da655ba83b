"""The HTTP port that a scraper asks for metrics: the standard library's server, in threads of its own.

Whoever scrapes is the operator's; yet a port that answers one caller after the other is blocked by the first that says
nothing, and so is the daemon's end. So each has a thread, there are few, and the oldest is hung up on for a newer one.
"""

import gc
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from drand.net.addresses import HostPort

MAX_SCRAPERS = 8  # connections that are answered at the same time
MAX_WAITING = 8  # connections that the system queues
SILENCE_S = 10.0  # a caller that says nothing for so long is hung up on

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

log = logging.getLogger(__name__)


class MetricsPort(ThreadingMixIn, WSGIServer):
    """Serves `metrics`, and /debug/gc, which frees what can be freed. Raises OSError."""

    daemon_threads = True
    block_on_close = False  # who does not read is not waited for
    request_queue_size = MAX_WAITING

    def __init__(self, address: HostPort, metrics: Wsgi) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._open: dict[socket.socket, None] = {}  # oldest first
        self._guard = threading.Lock()
        super().__init__((address.host, address.port), _Quiet)
        self.set_app(_with_gc(metrics))
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the port and every connection to it; takes up to half a second."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        with self._guard:
            while self._open:
                self._hang_up_on_oldest()

    def server_bind(self) -> None:
        """Bind, without asking the DNS for a name of ours: that could take long, and nobody needs it."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a new thread."""
        with self._guard:
            if len(self._open) >= MAX_SCRAPERS:
                self._hang_up_on_oldest()
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The connection is over."""
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that left or said nothing is its own business: no traceback on the operator's terminal."""
        log.debug("a scraper at %s got no answer", client_address, exc_info=True)

    def _hang_up_on_oldest(self) -> None:
        oldest = next(iter(self._open))
        del self._open[oldest]
        with suppress(OSError):  # it has left
            oldest.shutdown(socket.SHUT_RDWR)


class _Quiet(WSGIRequestHandler):
    """Writes no line for each scrape."""

    timeout = SILENCE_S

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _with_gc(metrics: Wsgi) -> Wsgi:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        match environ.get("PATH_INFO", ""):
            case "/metrics" | "/" if environ.get("REQUEST_METHOD") == "HEAD":  # which the library has no answer to
                metrics({**environ, "REQUEST_METHOD": "GET"}, start_response)
                return []
            case "/metrics" | "/":
                return metrics(environ, start_response)
            case "/debug/gc":
                gc.collect()
                start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
                return [b"GC run complete"]
            case _:
                start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
                return [b"404 page not found\n"]

    return app
