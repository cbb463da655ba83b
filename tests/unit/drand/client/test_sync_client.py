"""The blocking client: the same core, from any thread."""

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import pytest
from aiohttp import web

from collective.errors import BadSetting
from drand.client import Client, VerifiedBeacon
from drand.client.chains import public_chain
from drand.client.errors import ClientClosed, RoundMissing, RoundTooEarly
from drand.client.observing import Observer
from tests.support.http_chain import Relay, chain, committee, serving_in_a_thread

# The blocking client goes by the machine's clock: by it, this chain began long ago and is far ahead of its 40 rounds.


@pytest.fixture
def relay() -> Relay:
    return Relay(apis=("v2",), pages=16)


@pytest.fixture
def url(relay: Relay) -> Iterator[str]:
    with serving_in_a_thread(relay) as address:
        yield address


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "drand client"]


def test_rounds_are_fetched_and_verified_and_the_thread_ends(url: str):
    with Client(chain(), [url]) as client:
        assert client.get(7).plain == committee().beacon(7)
        assert [one.round for one in client.rounds(1, 40)] == list(range(1, 41))
        assert client.info() == chain()
        assert client.time_of(2).timestamp() == chain().schedule.due_unix_s(2)
        assert client.round_at(client.time_of(2)) == 2
        assert client.at(client.time_of(5)).round == 5
        assert threads()
    assert not threads()
    with pytest.raises(ClientClosed):
        client.get(7)
    client.close()


def test_an_iterator_can_be_left_early(url: str):
    with Client(chain(), [url]) as client:
        with contextlib.closing(client.rounds(1, 40)) as rounds:
            assert [one.round for one in islice(rounds, 2)] == [1, 2]
        assert client.get(1).round == 1


def test_closing_ends_a_watch_that_waits_in_another_thread(url: str):
    client = Client(replace(chain(), genesis_unix_s=2**40), [url])  # the first round is a long way off
    began = threading.Event()

    def watch() -> None:
        rounds = client.watch()
        began.set()
        next(rounds)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(watch)
        assert began.wait(30)
        client.close()
        with pytest.raises(ClientClosed):
            call.result(30)


def test_errors_come_through_as_they_are(url: str):
    with Client(chain(), [url]) as client:
        with pytest.raises(RoundMissing):
            client.get(41)
        with pytest.raises(RoundTooEarly):
            client.get(2**40)


def test_many_threads_use_one_client(url: str):
    with Client(chain(), [url]) as client, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(client.get, [1 + place % 40 for place in range(120)]))
    assert [one.round for one in found] == [1 + place % 40 for place in range(120)]


def test_it_works_inside_a_running_loop(url: str):
    async def notebook() -> int:
        with Client(chain(), [url]) as client:
            return client.get(3).round

    assert asyncio.run(notebook()) == 3


def test_closing_ends_a_call_under_way_in_another_thread(url: str, relay: Relay):
    reached = threading.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    relay.override["7"] = hang
    client = Client(chain(), [url], timeout_s=60.0, deadline_s=60.0)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.get, 7)
        assert reached.wait(30)
        client.close()
        with pytest.raises(ClientClosed):
            call.result(30)
    assert not threads()


@pytest.fixture
def interrupted(relay: Relay) -> Iterator[None]:
    """A Ctrl-C reaches the main thread in the moment when the server has been asked for rounds, and hangs."""

    async def hang(_request: web.Request) -> web.StreamResponse:
        signal.pthread_kill(main, signal.SIGALRM)
        await asyncio.Event().wait()
        raise AssertionError

    main = threading.main_thread().ident
    assert main is not None
    relay.override["rounds"] = hang
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    "begin", [lambda client: client.rounds(1, 40), lambda client: client.watch(1)], ids=["rounds", "watch"]
)
def test_a_ctrl_c_in_an_iterator_is_a_keyboard_interrupt_and_ends_the_iterator_alone(
    url: str, begin: Callable[[Client], Iterator[VerifiedBeacon]]
):
    with Client(chain(), [url], timeout_s=60.0, deadline_s=60.0) as client:
        rounds = begin(client)
        with pytest.raises(KeyboardInterrupt):
            next(rounds)
        assert next(rounds, None) is None
        assert not client._loop._iterators
        assert client.get(7).round == 7


def test_a_client_that_is_never_closed_ends_its_thread_when_it_is_forgotten(url: str):
    client = Client(chain(), [url])
    client.get(1)
    assert threads()
    del client
    gc.collect()
    assert not threads()


def test_a_client_that_is_never_used_starts_nothing():
    with Client("quicknet") as client:
        assert client.chain_hash == public_chain("quicknet").hash()
        assert not threads()


def test_a_hook_that_asks_its_own_client_is_told_off_and_not_left_hanging(url: str):
    caught: list[BaseException] = []

    class Curious(Observer):
        def asked(self, source: str) -> None:
            try:
                client.get(3)
            except BadSetting as error:
                caught.append(error)

    with Client(chain(), [url], observer=Curious()) as client:
        assert client.get(7).round == 7
    assert "own thread" in str(caught[0])


def test_an_iterator_that_is_forgotten_in_the_clients_own_thread_is_closed_there(url: str):
    forgotten: list[object] = []

    class Collector(Observer):
        def asked(self, source: str) -> None:
            forgotten.clear()  # as the garbage collector may, in any thread

    with Client(chain(), [url], observer=Collector()) as client:
        rounds = client.rounds(1, 40)
        next(rounds)
        forgotten.append(rounds)
        del rounds
        assert client.get(7).round == 7
        assert not forgotten


def test_a_client_that_is_forgotten_in_its_own_thread_is_closed_there(url: str):
    client = Client(chain(), [url])
    client.get(1)
    forgotten = [client]
    loop, (thread,) = client._loop._loop, [one for one in threading.enumerate() if one.name == "drand client"]
    del client
    assert loop is not None
    loop.call_soon_threadsafe(forgotten.clear)
    thread.join(30)
    assert not thread.is_alive()


def test_closing_from_several_threads_at_once_closes_once(url: str):
    client = Client(chain(), [url])
    client.get(1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.close(), range(8)))
    assert not threads()


PROGRAM = """
import os, sys
from drand.client import Client, VerifiedBeacon
from drand.client.errors import ClientClosed
from tests.support.http_chain import chain

client = Client(chain(), [sys.argv[1]])
assert client.get(1).round == 1
rounds = client.rounds(1, 40)
assert next(rounds).round == 1
REST
"""

FORKED = """
child = os.fork()
if child == 0:
    try:
        client.get(2)
    except ClientClosed as error:
        assert "forked" in str(error)
    else:
        raise AssertionError("answered by a thread that is not there")
    client.close()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert next(rounds).round == 2
assert client.get(2).round == 2
client.close()
"""


@pytest.mark.parametrize(
    "rest",
    ["", pytest.param(FORKED, marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"))],
    ids=["closes nothing", "forks"],
)
def test_a_program_ends_in_peace(url: str, rest: str):
    """The interpreter's end, and that of a forked child, finds clients, threads and iterators that nobody closed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM.replace("REST", rest), url],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
