"""TLS connections to the HTTP port. A handshake that does not end holds a descriptor too, so it counts as a connection.

asyncio shows a server its TLS connections when they have shaken hands. So connections are accepted here: who opens
thousands of them and says nothing cannot take the descriptors that the vault and the store need.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import TypeAlias

from drand.net.addresses import HostPort
from drand.net.listening import open_listeners
from drand.net.log_budget import LogBudget

HANDSHAKE_S = 20.0  # as on the peer port
PAUSE_S = 1.0  # where the system does not let us accept: it has no descriptor for us now

Factory: TypeAlias = Callable[[], asyncio.Protocol]

log = logging.getLogger(__name__)
log.addFilter(LogBudget())


class TlsListener:
    """Accepts connections for `factory`.

    room    whether there is room for one more connection, beside so many that are shaking hands
    """

    def __init__(self, factory: Factory, context: ssl.SSLContext, room: Callable[[int], bool]) -> None:
        self._factory = factory
        self._context = context
        self._room = room
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._shaking: set[asyncio.Task[None]] = set()

    async def start(self, address: HostPort, *, backlog: int, shared: bool) -> int:
        """Listen; returns the port. Raises OSError."""
        self._listeners = await open_listeners(address, backlog=backlog, shared=shared)
        self._accepting = [asyncio.create_task(self._accept(one)) for one in self._listeners]
        return int(self._listeners[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, and leave those alone who are shaking hands."""
        tasks = [*self._accepting, *self._shaking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("cannot accept a connection for HTTP: %s", error.strerror)
                await asyncio.sleep(PAUSE_S)
                continue
            if self._room(len(self._shaking)):
                task = loop.create_task(self._shake_hands(connection))
                self._shaking.add(task)
                task.add_done_callback(self._shaking.discard)
            else:
                connection.close()
            await asyncio.sleep(0)  # a flood of them is no reason to do nothing else

    async def _shake_hands(self, connection: socket.socket) -> None:
        """Until the connection is the protocol's, or there is none."""
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._factory, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError as error:  # no TLS, too slow, or gone
            log.debug("no TLS handshake: %s", error)
