"""HTTP GET with bounds on everything: bytes, seconds, redirects, encodings."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from collective.clock import Clock, SystemClock
from drand.client.errors import (
    AnswerTooLarge,
    MalformedAnswer,
    NotDrand,
    RateLimited,
    SourceTimeout,
    SourceUnreachable,
    source_closed,
)
from drand.net.http_content import parse_http_date

MAX_REDIRECTS = 3
MAX_CONNECTIONS = 16  # to one source
MAX_RETRY_AFTER_S = 3600.0
_PIECE_BYTES = 1 << 16
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "pydrand"}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete answer."""

    status: int
    body: bytes


class BoundedHttp:
    """GET requests to one source. Its connections are opened at need until it is closed, and closed by `close`."""

    def __init__(
        self, name: str, *, timeout_s: float, headers: Mapping[str, str] | None = None, clock: Clock | None = None
    ) -> None:
        self.name = name
        self.clock_ahead_s: float | None = None  # of ours before the server's, from the Date of its last answer
        self._timeout_s = timeout_s
        self._headers = _HEADERS | dict(headers or {})
        self._redirects = not headers  # they could take what is ours to somebody else
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def get(self, url: str, most_bytes: int) -> Fetched:
        """The answer to GET `url`: 200, or a status that says that something is not there (400, 404, 410, 425).

        raises  SourceUnreachable, SourceTimeout, RateLimited; NotDrand, AnswerTooLarge, MalformedAnswer
        """
        limits = aiohttp.ClientTimeout(total=self._timeout_s)
        async with self._asked(url, limits) as response:
            self._require_status(response)
            body = await self._read(response, most_bytes)
        if response.status == 200:
            self._require_no_page(response, body)
        return Fetched(response.status, body)

    @asynccontextmanager
    async def stream(self, url: str, silence_s: float) -> AsyncIterator[AsyncIterator[bytes] | None]:
        """The pieces of a body without end; None when the server has no such thing. Raises as `get` does."""
        limits = aiohttp.ClientTimeout(total=None, connect=self._timeout_s, sock_read=silence_s)
        async with self._asked(url, limits) as response:
            self._require_status(response)
            pushes = response.status == 200 and response.content_type == "text/event-stream"
            yield response.content.iter_any() if pushes else None

    async def close(self) -> None:
        """Close the connections, and open none any more."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def _asked(self, url: str, limits: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response, while its body is read; what goes wrong is said in our words."""
        try:
            async with self._open().get(
                URL(url, encoded=True), timeout=limits, allow_redirects=self._redirects, max_redirects=MAX_REDIRECTS
            ) as found:
                self._compare_clocks(found)
                yield found
        except TimeoutError as error:  # aiohttp's are subclasses of it
            raise SourceTimeout(self.name, f"no complete answer within {self._timeout_s:g} s") from error
        except aiohttp.TooManyRedirects as error:
            raise MalformedAnswer(self.name, f"more than {MAX_REDIRECTS} redirects") from error
        except aiohttp.ClientConnectionError as error:
            raise SourceUnreachable(self.name, f"cannot be reached: {_told(error)}") from error
        except (aiohttp.ClientPayloadError, aiohttp.ClientOSError) as error:
            raise SourceUnreachable(self.name, f"the answer broke off: {_told(error)}") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise MalformedAnswer(self.name, f"no HTTP that can be read: {_told(error)}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise source_closed(self.name)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                auto_decompress=False,
                max_line_size=8190,
                max_field_size=8190,
            )
        return self._session

    def _compare_clocks(self, response: aiohttp.ClientResponse) -> None:
        if "Age" in response.headers:  # a cache's answer: its Date is that of the origin
            return
        told = parse_http_date(response.headers.get("Date"))
        self.clock_ahead_s = None if told is None else self._clock.now() - told

    def _require_status(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status in (429, 503) and "Retry-After" in response.headers:
            raise RateLimited(self.name, f"status {status}", retry_after_s=_retry_after(response, self._clock.now()))
        if status == 429:
            raise RateLimited(self.name, "status 429")
        if status >= 500:
            raise SourceUnreachable(self.name, f"the server failed with status {status}")
        if status not in (200, 400, 404, 410, 425):
            raise MalformedAnswer(self.name, f"status {status}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise MalformedAnswer(self.name, "the answer is compressed, which was not asked for")

    async def _read(self, response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
        length = response.content_length
        if length is not None and length > most_bytes:
            response.close()
            raise AnswerTooLarge(self.name, f"an answer of {length} bytes, at most {most_bytes} expected")
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            body += piece
            if len(body) > most_bytes:
                response.close()  # else the rest would be read to keep the connection
                raise AnswerTooLarge(self.name, f"an answer of more than {most_bytes} bytes")
        return bytes(body)

    def _require_no_page(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        """The content type is not believed (static hosts say what they like), but a web page is told apart."""
        if body.lstrip()[:1] == b"<" or "html" in response.content_type:
            raise NotDrand(self.name, f"answered with a web page ({response.content_type})")


def _retry_after(response: aiohttp.ClientResponse, now: float) -> float | None:
    """Seconds from now, bounded; the header has them, or a date (RFC 9110, 10.2.3)."""
    text = response.headers["Retry-After"].strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), MAX_RETRY_AFTER_S)
    date = parse_http_date(text)
    if date is None:
        return None
    told = parse_http_date(response.headers.get("Date"))  # by the clock that wrote the date
    return min(max(date - (now if told is None else told), 0.0), MAX_RETRY_AFTER_S)


def _told(error: Exception) -> str:
    """The error's words, or its name where it has none; bounded, since a server may have written them."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name does not resolve"
    if isinstance(error, aiohttp.InvalidURL):  # its words are the address, with its password
        return "an address that cannot be"
    if isinstance(error, aiohttp.ClientSSLError):  # its number is OpenSSL's
        return str(error)[:200]
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno:
        return os.strerror(error.errno)  # aiohttp wraps it: "Cannot connect to host ... ssl:default [...]"
    return (str(error) or type(error).__name__)[:200]
