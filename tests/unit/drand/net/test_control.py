"""The control socket: who can reach it, what it answers, and a ceremony that outlives the command that ordered it."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import grpc
import pytest

from collective.errors import Malformed, OutOfTurn
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import OUR_VERSION, Metadata
from drand.net.addresses import HostPort, UnixPath
from drand.net.control_client import ControlClient
from drand.net.control_codec import decode_init_dkg, decode_init_reshare, decode_progress, encode_init_dkg
from drand.net.control_server import ControlServer
from drand.net.errors import CannotListen, DaemonAbsent, PortTaken, RefusedByDaemon
from drand.net.handlers import FollowOrder, SetupOrder, SyncProgress
from drand.wire.gen import control_pb2, httpgrpc_pb2, protocol_pb2, public_pb2, watch_pb2
from tests.support.operated import GROUP, MOMENTS, NotedDaemon
from tests.support.served import INFO, KEY, STATUS

OURS = Metadata(OUR_VERSION, "default")
LEADING = SetupOrder(
    leader=None,
    nodes=5,
    threshold=3,
    timeout_s=10,
    beacon_offset_s=0,
    secret=b"s" * 32,
    period_s=3,
    catchup_period_s=1,
    entropy_script="/bin/dice",
    entropy_user_only=True,
)
JOINING = SetupOrder(
    leader=Peer("leader:1", True),
    nodes=0,
    threshold=0,
    timeout_s=10,
    beacon_offset_s=0,
    secret=b"s" * 32,
    catchup_period_s=0,
)
AnswerT = TypeVar("AnswerT")


class Line:
    """A daemon's control socket and a command line's client, which blocks and so runs in a thread."""

    def __init__(self, path: Path) -> None:
        self.daemon = NotedDaemon()
        self.server = ControlServer(self.daemon)
        self.address = UnixPath(path / "control.sock")

    async def ask(self, question: Callable[[ControlClient], AnswerT]) -> AnswerT:
        def run() -> AnswerT:
            with ControlClient(self.address) as client:
                return question(client)

        return await asyncio.to_thread(run)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    made = Line(tmp_path)
    await made.server.start(made.address)
    yield made
    await made.server.stop(0)


async def test_the_socket_answers_exactly_control_and_watch(line: Line):
    answered = set()
    async with grpc.aio.insecure_channel(line.address.target) as channel:
        for file in (protocol_pb2, public_pb2, control_pb2, httpgrpc_pb2, watch_pb2):
            for service in file.DESCRIPTOR.services_by_name.values():
                for method in service.methods:
                    call = channel.unary_unary(f"/{service.full_name}/{method.name}")(b"\xff", timeout=20)
                    if await call.code() is not grpc.StatusCode.UNIMPLEMENTED:
                        answered.add((service.full_name, method.name))
    control = (
        "PingPong Status ListSchemes ListBeaconIDs InitDKG InitReshare Share PublicKey PrivateKey ChainInfo GroupFile "
        "Shutdown LoadBeacon StartFollowChain StartCheckChain BackupDatabase RemoteStatus"
    )
    watch = {("pydrand.Watch", name) for name in ("Ceremony", "Abandon")}
    assert answered == {("drand.Control", name) for name in control.split()} | watch
    assert line.daemon.told == []


async def test_questions_are_answered(line: Line):
    assert await line.ask(lambda c: c.ping()) == OUR_VERSION
    assert await line.ask(lambda c: c.status(OURS)) == STATUS
    assert await line.ask(lambda c: c.list_schemes()) == ("one", "two")
    assert await line.ask(lambda c: c.list_beacon_ids()) == ("default", "other")
    assert await line.ask(lambda c: c.public_key(OURS)) == KEY
    assert await line.ask(lambda c: c.chain_info(OURS)) == INFO
    assert await line.ask(lambda c: c.group_file(OURS)) == GROUP
    assert await line.ask(lambda c: c.remote_status(OURS, [Peer("b:2", True)])) == {"b:2": STATUS}


async def test_orders_arrive_as_given(line: Line, tmp_path: Path):
    line.daemon.ceremony_may_end.set()
    follow = FollowOrder(peers=(Peer("a:1", True), Peer("b:2", True)), up_to=Round(9))
    reshare = SetupOrder(
        leader=Peer("leader:1", False),
        nodes=0,
        threshold=0,
        timeout_s=1,
        beacon_offset_s=2,
        secret=b"s",
        force=True,
        old_group_path="/old.toml",
    )
    assert await line.ask(lambda c: c.init_dkg(OURS, LEADING)) == GROUP
    assert await line.ask(lambda c: c.init_dkg(OURS, JOINING)) == GROUP
    assert await line.ask(lambda c: c.init_reshare(OURS, reshare)) == GROUP
    assert await line.ask(lambda c: list(c.follow(OURS, follow))) == [SyncProgress(1, 2), SyncProgress(2, 2)]
    assert await line.ask(lambda c: list(c.check(OURS, follow))) == [SyncProgress(0, 0)]
    await line.ask(lambda c: c.backup(OURS, tmp_path / "copy"))
    await line.ask(lambda c: c.load_beacon(OURS))
    await line.ask(lambda c: c.abandon("second", "wrong threshold"))
    await line.ask(lambda c: c.shutdown(Metadata(OUR_VERSION)))
    assert line.daemon.told == [
        ("init_dkg", OURS, LEADING),
        ("init_dkg", OURS, JOINING),
        ("init_reshare", OURS, reshare),
        ("start_follow", OURS, follow),
        ("start_check", OURS, follow),
        ("backup", OURS, tmp_path / "copy"),
        ("load_beacon", OURS, None),
        ("abandon", Metadata(beacon_id="second"), "wrong threshold"),
        ("shutdown", Metadata(OUR_VERSION), None),
    ]


async def test_a_ceremony_is_watched_to_its_end(line: Line):
    assert tuple(await line.ask(lambda c: list(c.ceremony("default")))) == MOMENTS
    assert MOMENTS[-1].over


async def test_a_ceremony_outlives_the_command_that_ordered_it(line: Line):
    async with grpc.aio.insecure_channel(line.address.target) as channel:
        request = encode_init_dkg(LEADING, OURS).SerializeToString()
        call = channel.unary_unary("/drand.Control/InitDKG")(request)
        waiting = asyncio.ensure_future(call.code())
        await line.daemon.ceremony_began.wait()
        call.cancel()
        assert await waiting is grpc.StatusCode.CANCELLED
    await line.ask(lambda c: c.ping())
    assert not line.daemon.ceremony_over.is_set()
    line.daemon.ceremony_may_end.set()
    await line.daemon.ceremony_over.wait()


async def test_a_ceremony_ends_with_the_daemon(line: Line):
    asking = asyncio.ensure_future(line.ask(lambda c: c.init_dkg(OURS, LEADING)))
    await line.daemon.ceremony_began.wait()
    await line.server.stop(0)
    with pytest.raises((RefusedByDaemon, DaemonAbsent)):
        await asking
    assert not line.daemon.ceremony_over.is_set()


async def test_the_daemons_own_words_are_the_error(line: Line):
    line.daemon.failure = OutOfTurn("drand: no dkg group setup yet")
    with pytest.raises(RefusedByDaemon) as caught:
        await line.ask(lambda c: c.group_file(OURS))
    assert caught.value.text == "drand: no dkg group setup yet"
    with pytest.raises(RefusedByDaemon, match="no dkg group setup yet"):
        await line.ask(lambda c: list(c.ceremony("default")))


async def test_the_daemons_hint_comes_with_its_words(line: Line):
    line.daemon.failure = OutOfTurn("not now", hint="wait until München has voted\n")
    with pytest.raises(RefusedByDaemon, match="not now") as caught:
        await line.ask(lambda c: c.group_file(OURS))
    assert caught.value.advice == "wait until München has voted\n"
    with pytest.raises(RefusedByDaemon, match="not now") as caught:
        await line.ask(lambda c: list(c.ceremony("default")))
    assert caught.value.advice == "wait until München has voted\n"


@pytest.mark.parametrize("failure", [OutOfTurn("no hint"), ZeroDivisionError("ours")])
async def test_an_error_without_a_hint_sends_none(line: Line, failure: Exception):
    line.daemon.failure = failure
    with pytest.raises(RefusedByDaemon) as caught:
        await line.ask(lambda c: c.group_file(OURS))
    assert caught.value.advice == ""


async def test_a_reason_of_any_length_is_not_taken(line: Line):
    with pytest.raises(RefusedByDaemon, match="reason"):
        await line.ask(lambda c: c.abandon("default", "x" * 513))
    assert line.daemon.told == []


@pytest.mark.parametrize("method", ["Share", "PrivateKey"])
async def test_no_secret_leaves_by_this_socket(line: Line, method: str):
    async with grpc.aio.insecure_channel(line.address.target) as channel:
        call = channel.unary_unary(f"/drand.Control/{method}")(b"")
        assert await call.code() is grpc.StatusCode.UNKNOWN
        assert (await call.details()).startswith(f"deprecated function: exporting the {method} to a remote client")


async def test_only_the_owner_can_reach_the_unix_socket(line: Line):
    assert stat.S_IMODE(line.address.path.stat().st_mode) == 0o600


async def test_the_socket_file_goes_with_the_daemon(line: Line):
    await line.server.stop(0)
    assert not line.address.path.exists()


async def test_a_socket_on_which_somebody_listens_is_left_alone(line: Line):
    with pytest.raises(PortTaken, match="is taken"):
        await ControlServer(NotedDaemon()).start(line.address)
    assert await line.ask(lambda c: c.ping()) == OUR_VERSION


async def test_a_socket_left_behind_by_a_killed_daemon_is_replaced(tmp_path: Path):
    made = Line(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(made.address.path))
    await made.server.start(made.address)
    assert await made.ask(lambda c: c.ping()) == OUR_VERSION
    await made.server.stop(0)


async def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path):
    made = Line(tmp_path)
    made.address.path.write_text("precious")
    with pytest.raises(CannotListen, match="no socket"):
        await made.server.start(made.address)
    assert made.address.path.read_text() == "precious"


async def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(CannotListen, match="no such folder"):
        await ControlServer(NotedDaemon()).start(UnixPath(tmp_path / "gone" / "control.sock"))


async def test_a_tcp_control_port_is_bound_on_this_machine_and_can_be_taken_once():
    first, second = ControlServer(NotedDaemon()), ControlServer(NotedDaemon())
    bound = await first.start(HostPort("127.0.0.1", 0))
    assert isinstance(bound, HostPort)
    with pytest.raises(PortTaken, match=f"the control address 127.0.0.1:{bound.port} is taken"):
        await second.start(bound)

    def ping() -> object:
        with ControlClient(str(bound.port)) as client:
            return client.ping()

    assert await asyncio.to_thread(ping) == OUR_VERSION
    await first.stop(0)


@pytest.mark.parametrize(("host", "open_to_others"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
async def test_a_control_port_for_other_machines_is_warned_of(
    host: str, open_to_others: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("drand.net.control_server.bind_tcp", lambda _server, _address, _what: 1)
    server = ControlServer(NotedDaemon())
    await server.start(HostPort(host, 1))
    await server.stop(0)
    assert ("who does commands this daemon" in caplog.text) == open_to_others


@pytest.mark.parametrize("where", ["127.0.0.1:1", "unix:///nonexistent/control.sock"])
def test_without_a_daemon_the_command_line_is_told_how_to_start_one(where: str):
    with ControlClient(where) as client, pytest.raises(DaemonAbsent) as caught:
        client.ping()
    assert "drand start" in caught.value.advice


def test_orders_that_make_no_sense_on_the_wire_are_malformed():
    joining_nobody = control_pb2.InitDKGPacket(info=control_pb2.SetupInfoPacket(leader_address="nowhere"))
    with pytest.raises(Malformed):
        decode_init_dkg(joining_nobody)
    with pytest.raises(Malformed, match="cannot reshare without an old group"):
        decode_init_reshare(control_pb2.InitResharePacket(info=control_pb2.SetupInfoPacket(leader=True)))
    with pytest.raises(Malformed):
        decode_init_dkg(control_pb2.InitDKGPacket(info=control_pb2.SetupInfoPacket(leader=True, secret=bytes(5000))))
    with pytest.raises(Malformed, match="stage"):
        decode_progress(watch_pb2.CeremonyProgress(stage="dancing"))


def test_the_secret_is_not_printed():
    assert "ssss" not in repr(LEADING)


PAGE = "Host: rebound.example\r\nOrigin: http://evil.example\r\nContent-Length: 5\r\n"


@pytest.mark.parametrize(
    "head",
    [
        "GET /drand.Control/Shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "POST /drand.Control/Shutdown HTTP/1.1\r\n" + PAGE + "Content-Type: text/plain\r\n",
        "POST /drand.Control/Shutdown HTTP/1.1\r\n" + PAGE + "Content-Type: application/grpc-web\r\n",
        "POST /drand.Control/Shutdown HTTP/1.1\r\n" + PAGE + "Content-Type: application/grpc\r\nTE: trailers\r\n",
        "OPTIONS /drand.Control/Shutdown HTTP/1.1\r\n" + PAGE + "Access-Control-Request-Method: POST\r\n",
        "POST /drand.Control/Shutdown HTTP/1.1\r\n" + PAGE + "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "GET /drand.Control/Shutdown HTTP/1.1\r\n" + PAGE + "Upgrade: websocket\r\nConnection: Upgrade\r\n",
    ],
)
async def test_what_a_web_page_can_make_a_browser_send_is_hung_up_on_unread(head: str):
    daemon = NotedDaemon()
    server = ControlServer(daemon)
    bound = await server.start(HostPort("127.0.0.1", 0))
    assert isinstance(bound, HostPort)
    reader, writer = await asyncio.open_connection("127.0.0.1", bound.port)
    writer.write(head.encode() + b"\r\n\0\0\0\0\0")
    async with asyncio.timeout(30):
        try:
            heard = await reader.read()
        except ConnectionResetError:
            heard = b""
    assert b"HTTP/1" not in heard
    assert b"Access-Control" not in heard
    assert daemon.told == []
    writer.close()
    await server.stop(0)
