"""Taken ports, damaged files, folders and disks that refuse: one line that says what is wrong, and nothing is lost."""

import resource
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.processes import Ceremony, Network, Node
from tests.support.running import Running

LEAST_BYTES = 32768  # of the index that SQLite keeps of its journal

pytestmark = pytest.mark.xdist_group("damage")  # one network for all


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two nodes that make rounds; tests stop the second, harm it, and mend it."""
    with Network(tmp_path_factory.mktemp("pair"), 2) as network:
        network.start()
        network.hold(Ceremony(threshold=2, period="2s"))  # and a round a second to make up for a halt
        for node in network.nodes:
            node.wait_round(2)
        yield network


@pytest.fixture
def victim(pair: Network) -> Iterator[Node]:
    """The second node, stopped; at the end it has to make rounds with the first one again, its old ones unchanged."""
    steady, node = pair.nodes
    node.stop()
    first = steady.body("/public/1")
    yield node
    node.stop()
    node.start()
    halted = steady.get("/public/latest").json()["round"]
    node.wait_round(halted + 1)
    assert node.body("/public/1") == first
    assert steady.body(f"/public/{halted + 1}") == node.body(f"/public/{halted + 1}")


def one_error(process: Running) -> str:
    """The one line that says what was wrong; a line with a hint follows it."""
    lines = process.refuse().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, process.output
    assert any(line.startswith("hint: ") for line in lines), process.output
    return errors[0]


def test_a_taken_port_is_named(pair: Network, victim: Node):
    for address in (victim.private, victim.public, victim.control):
        port = int(address.rpartition(":")[2])
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            assert str(port) in one_error(victim.launch())
    running = pair.nodes[0]
    assert running.control in one_error(replace(running, daemon=None).launch()), "a second daemon by mistake"


def test_a_second_daemon_on_the_folder_of_a_running_one_is_refused(pair: Network):
    running = pair.nodes[0]
    private, public, control = free_ports(3)
    elsewhere = {"private": f"127.0.0.1:{private}", "public": f"127.0.0.1:{public}", "control": str(control)}
    assert str(running.folder) in one_error(replace(running, daemon=None, **elsewhere).launch())
    assert running.daemon is not None
    assert running.daemon.alive
    assert running.body("/public/1"), "the first daemon serves on"


def scramble(path: Path) -> Callable[[], None]:
    """Overwrite a file with what it never holds; returns what puts it back."""
    good, mode = path.read_bytes(), path.stat().st_mode
    path.write_bytes(b"Key = \x00 [[ nothing that anybody wrote\n")

    def mend() -> None:
        path.write_bytes(good)
        path.chmod(mode)

    return mend


def test_a_damaged_file_is_named_and_never_taken_for_a_fresh_node(victim: Node):
    names = ["key/drand_id.private", "key/drand_id.public", "groups/drand_group.toml", "vault.state", "db/drand.sqlite"]
    for name in names:
        path = victim.beacon_folder / name
        mend = scramble(path)
        try:
            assert str(path) in one_error(victim.launch())
        finally:
            mend()


def test_a_group_file_of_another_group_is_not_believed(victim: Node):
    path = victim.beacon_folder / "groups" / "drand_group.toml"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"GenesisTime = 1", b"GenesisTime = 2", 1))
    try:
        assert str(path) in one_error(victim.launch())
    finally:
        path.write_bytes(good)


def test_a_damaged_share_file_is_named_where_it_is_what_the_node_has(victim: Node, tmp_path: Path):
    """As in a folder of the Go implementation: files, and nothing of ours beside them."""
    moved = replace(victim, folder=tmp_path / "moved", daemon=None)
    shutil.copytree(victim.folder, moved.folder)
    (moved.beacon_folder / "vault.state").unlink()
    shutil.rmtree(moved.beacon_folder / "db")
    path = moved.beacon_folder / "groups" / "dist_key.private"
    mend = scramble(path)
    assert str(path) in one_error(moved.launch())
    assert str(path) in one_error(moved.begin("show", "share", "--folder", str(moved.folder)))
    mend()
    assert "adopted group and share" in moved.start().output
    moved.stop()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path):
    (tmp_path / "node0").write_text("not a folder")
    with Network(tmp_path, 1) as network:
        (node,) = network.nodes
        assert "node0" in node.begin("generate-keypair", "--folder", str(node.folder), "--tls-disable", "h:1").refuse()
        assert "node0" in node.launch().refuse()


@pytest.mark.slow
def test_a_disk_that_refuses_halts_the_node_with_an_error_and_loses_nothing(pair: Network, victim: Node):
    """A limit on the size of files stands for a full disk: the database cannot grow past it."""
    steady = pair.nodes[0]
    allowed = max(LEAST_BYTES, *(path.stat().st_size for path in (victim.beacon_folder / "db").iterdir())) + 8192

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, allowed))

    daemon = victim.launch(before_start=little_room)
    line = daemon.wait_for("trying again in")
    assert "drand.sqlite" in line
    assert daemon.alive, "a full disk must not end the daemon: it may be mended under it"
    assert victim.get("/public/1").status == 200, "what is stored is still served"
    assert steady.get("/public/1").body == victim.get("/public/1").body


def test_an_unwritable_folder_is_named(tmp_path: Path):
    """Root may write anywhere, so the folder is one that nobody may write to: below /proc."""
    with Network(tmp_path, 1) as network:
        (node,) = network.nodes
        node.folder = Path("/proc/drand")
        said = node.begin("generate-keypair", "--folder", str(node.folder), "--tls-disable", "h:1").refuse()
        assert "/proc/drand" in said
