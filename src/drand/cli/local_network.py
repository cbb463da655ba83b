"""A network of daemon processes on loopback, set up through the ordinary commands: for `drand demo`, tests, bench."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from collective.entropy import SystemEntropy
from collective.errors import Unavailable
from drand.errors import DrandError

READY = "drand is ready"  # what a daemon prints once its listeners are open
STOP_PATIENCE_S = 10
START_PATIENCE_S = 60
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOWEST_PORT, HIGHEST_PORT = 12_000, 32_000  # Linux gives 32768 and above to outgoing connections, others 49152


class CommandFailed(DrandError):
    """One of the ordinary commands did not succeed."""

    hint = "with --folder DIR everything is kept, the daemons' logs too"


class NodeDied(Unavailable):
    """A daemon ended before it was ready."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that end us wait for the end of the block, so that no process is started and not noted down."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number)) or signal.SIG_DFL
        for number in ENDING_SIGNALS
    }
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)
        if came:
            signal.raise_signal(came[0])


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on now (somebody may take one before we do: then `start` says so).

    They lie below those that systems give to outgoing connections, of which a network of daemons opens many at once.
    """
    entropy = SystemEntropy()
    held: dict[int, socket.socket] = {}
    try:
        while len(held) < count:
            port = LOWEST_PORT + int.from_bytes(entropy.bytes(4), "big") % (HIGHEST_PORT - LOWEST_PORT)
            if port not in held and (one := _bound(port)) is not None:
                held[port] = one
        return list(held)
    finally:
        for one in held.values():
            one.close()


def _bound(port: int) -> socket.socket | None:
    """A socket bound to the port, None when it is taken."""
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        one.close()
        return None
    return one


@dataclass(kw_only=True)
class LocalNode:
    """One daemon process and where it listens."""

    name: str
    folder: Path
    private: str  # host:port of the peers' gRPC
    public: str  # host:port of the HTTP API
    control: str  # port
    command: Sequence[str]  # what starts a drand: ours, or another binary with the same flags
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    ready: threading.Event = field(default_factory=threading.Event)

    @property
    def log(self) -> Path:
        """Everything the daemon printed."""
        return self.folder.parent / f"{self.name}.log"

    def run(self, *arguments: str, timeout_s: float = 120) -> str:
        """Run one ordinary command against this node; returns its output. Raises CommandFailed with the error text."""
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, timeout=timeout_s, env=self._environment()
        )
        if done.returncode != 0:
            words = " ".join(arguments)
            raise CommandFailed(f"`drand {words}` at {self.name}: {(done.stderr + done.stdout).strip()}")
        return done.stdout

    def popen(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start one ordinary command and leave it running."""
        return subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(),
            start_new_session=True,
        )

    def start_command(self, *extra: str) -> list[str]:
        """The command line that starts the daemon."""
        arguments = ["start", "--folder", str(self.folder), "--control", self.control, "--tls-disable"]
        return [*self.command, *arguments, "--private-listen", self.private, "--public-listen", self.public, *extra]

    def start(self, *extra: str) -> None:
        """Start the daemon; `wait_ready` tells when it listens."""
        self.ready.clear()
        with undisturbed():
            self.process = subprocess.Popen(
                self.start_command(*extra),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is ours: we stop the daemons in order
            )
        threading.Thread(target=self._keep_log, args=(self.process,), daemon=True).start()

    def wait_ready(self) -> None:
        """Wait until the daemon listens; raises NodeDied with its last words where it ends instead."""
        assert self.process is not None
        if not self.ready.wait(START_PATIENCE_S) or self.process.poll() is not None:
            raise NodeDied(f"{self.name} did not start: {self.last_words()}", hint=f"its log is {self.log}")

    def last_words(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " | ".join(lines[-3:]) or "it printed nothing"

    def kill(self) -> None:
        """SIGKILL: what a power cut looks like to the process."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for one that does not listen."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        _wait_for_end(process)

    def _environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DRAND_")}
        return inherited | self.environment

    def _keep_log(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        with self.log.open("ab", buffering=0) as log:
            for line in process.stdout:
                log.write(line)
                if READY.encode() in line:
                    self.ready.set()
        self.ready.set()  # it ended: whoever waits shall look


@dataclass(frozen=True, kw_only=True)
class Ceremony:
    """What a key generation is held with."""

    threshold: int
    period: str = "3s"
    catchup_period: str = "1s"
    timeout: str = "2s"  # length of one phase; a silent node costs three of them
    scheme: str = "pedersen-bls-chained"
    beacon_id: str = "default"


def _wait_for_end(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """Of a process that was told to end; one that does not listen is killed."""
    try:
        process.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ended(name: str, process: "subprocess.Popen[str]") -> str:
    """What a command printed until it ended well; raises CommandFailed with what it said otherwise."""
    out, err = process.communicate()
    if process.returncode != 0:
        arguments = process.args if isinstance(process.args, list) else []
        words = next((word for word in arguments if word in ("share", "generate-keypair")), "")
        raise CommandFailed(f"`drand {words}` at {name}: {(err + out).strip()}")
    return out


class LocalNetwork:
    """Some nodes below one folder, the first of which leads."""

    def __init__(self, folder: Path, nodes: int, command: Sequence[str] | None = None) -> None:
        self.folder = folder
        own = command or (sys.executable, "-m", "drand.cli.main")
        ports = free_ports(3 * nodes)
        self.nodes = [
            LocalNode(
                name=f"node{number + 1}",
                folder=folder / f"node{number + 1}",
                private=f"127.0.0.1:{ports[3 * number]}",
                public=f"127.0.0.1:{ports[3 * number + 1]}",
                control=str(ports[3 * number + 2]),
                command=own,
            )
            for number in range(nodes)
        ]
        self.secret = SystemEntropy().bytes(32).hex()

    def start(self) -> None:
        """Start every daemon and wait until all listen."""
        for node in self.nodes:
            node.folder.mkdir(parents=True, exist_ok=True)
            node.start()
        for node in self.nodes:
            node.wait_ready()

    def generate_keys(self, ceremony: Ceremony) -> None:
        """Every node makes its long-term key pair, all at the same time. Raises CommandFailed."""
        chosen = ["--tls-disable", "--scheme", ceremony.scheme, "--id", ceremony.beacon_id]
        self._together(
            ["generate-keypair", "--folder", str(node.folder), "--control", node.control, *chosen, node.private]
            for node in self.nodes
        )

    def hold(self, ceremony: Ceremony, said: Callable[[str], None] = lambda line: None) -> str:
        """Hold the key generation through `drand share`; returns the group file. Raises CommandFailed."""
        leader, *others = self.nodes
        commands = [[*self._share_flags(leader, ceremony), *self._lead_flags(ceremony)]]
        commands += [
            [*self._share_flags(node, ceremony), "--connect", leader.private, "--tls-disable"] for node in others
        ]
        said(f"{len(commands)} `drand share` commands are running; {leader.name} leads")
        return self._together(commands)[0]

    def _together(self, commands: Iterable[Sequence[str]]) -> list[str]:
        """Run one command at each node at the same time; what they printed, once all have ended well.

        The first one that fails ends the others, which may wait for it, and is told of in CommandFailed.
        """
        running: list[subprocess.Popen[str]] = []
        with ThreadPoolExecutor(len(self.nodes)) as readers:
            try:
                for node, command in zip(self.nodes, commands, strict=True):
                    with undisturbed():
                        running.append(node.popen(*command))
                ends = [
                    readers.submit(_ended, node.name, process)
                    for node, process in zip(self.nodes, running, strict=True)
                ]
                failed = [end for end in wait(ends, return_when=FIRST_EXCEPTION).done if end.exception()]
                return [end.result() for end in failed or ends]
            finally:
                for process in running:
                    process.terminate()  # those that have ended do not mind
                for process in running:
                    _wait_for_end(process)

    def _share_flags(self, node: LocalNode, ceremony: Ceremony) -> list[str]:
        secret_file = self.folder / "secret"
        if not secret_file.exists():
            descriptor = os.open(secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(self.secret)
        return ["share", "--control", node.control, "--secret-file", str(secret_file), "--id", ceremony.beacon_id]

    def _lead_flags(self, ceremony: Ceremony) -> list[str]:
        flags = ["--leader", "--nodes", str(len(self.nodes)), "--threshold", str(ceremony.threshold)]
        flags += ["--period", ceremony.period, "--catchup-period", ceremony.catchup_period]
        return [*flags, "--timeout", ceremony.timeout]

    def stop(self) -> None:
        """End every daemon that still runs."""
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            node.stop()
