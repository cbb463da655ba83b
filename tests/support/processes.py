"""Real processes for tests: programs that run, what they print, and the nodes and networks made of them.

Nothing here waits by sleeping: a wait is for a line that a process prints, for its end, or for an answer that the node
itself holds back until it is due. Every wait has a deadline and, when it passes, shows what was printed so far.
"""

import http.client
import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collective.clock import monotonic_s

PATIENCE_S = 60.0
END_PATIENCE_S = 15.0
FIRST_PORT, PORTS_EACH = 12000, 2500  # below the range that kernels take for outgoing connections


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, each handed out once; two xdist workers never share any."""
    found = list(itertools.islice(_ports, count))
    assert len(found) == count, "no free ports left in this worker's range"
    return found


def _free_ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    first = FIRST_PORT + worker % 8 * PORTS_EACH
    start = os.getpid() * 97 % PORTS_EACH  # two runs on one machine seldom begin at the same port
    for offset in range(PORTS_EACH):
        port = first + (start + offset) % PORTS_EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


_ports = _free_ports()


class Running:
    """A process, and everything it has printed."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        before_start: Callable[[], None] | None = None,
    ) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DRAND_")}
        self.command = list(command)
        self.lines: list[str] = []
        self._grew = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=inherited | {"PYTHONUNBUFFERED": "1"} | dict(environment or {}),
            preexec_fn=before_start,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._grew:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._grew.notify_all()
        with self._grew:
            self._ended = True
            self._grew.notify_all()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """All that was printed."""
        return "\n".join(self.lines)

    def wait_until(self, wanted: Callable[[str], bool], what: str, *, since: int = 0, patience_s: float = 0) -> str:
        """The first line, the first `since` left out, that `wanted` accepts; fails at the deadline or the end."""
        deadline = monotonic_s() + (patience_s or PATIENCE_S)
        with self._grew:
            while True:
                for place in range(since, len(self.lines)):
                    if wanted(self.lines[place]):
                        return self.lines[place]
                since = len(self.lines)
                left = deadline - monotonic_s()
                assert not self._ended, f"ended before {what}:\n{self._tail()}"
                assert left > 0, f"waited in vain for {what}:\n{self._tail()}"
                self._grew.wait(left)

    def wait_for(self, text: str, *, since: int = 0, patience_s: float = 0) -> str:
        """The first line that contains `text`."""
        return self.wait_until(lambda line: text in line, repr(text), since=since, patience_s=patience_s)

    def wait_end(self, patience_s: float = PATIENCE_S) -> int:
        """Its exit code."""
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} does not end:\n{self._tail()}") from None
        self._reader.join(END_PATIENCE_S)
        return code

    def succeed(self, patience_s: float = PATIENCE_S) -> str:
        """What it printed, once it has ended well."""
        code = self.wait_end(patience_s)
        assert code == 0, f"{self.command} ended with {code}:\n{self._tail()}"
        return self.output

    def refuse(self, patience_s: float = PATIENCE_S) -> str:
        """What it printed, once it has ended with an error; never a traceback."""
        code = self.wait_end(patience_s)
        assert code != 0, f"{self.command} should have failed:\n{self._tail()}"
        assert "Traceback" not in self.output, self.output
        return self.output

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.alive:
            self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal, by force if it does not listen."""
        self.send(number)
        try:
            self.wait_end(END_PATIENCE_S)
        except AssertionError:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        return "\n".join(self.lines[-40:])


@dataclass(frozen=True)
class Program:
    """A drand: how it is called, and what it prints once it can be used, when it leads, when it has stored a round."""

    name: str
    command: tuple[str, ...]
    ready: str
    leads: str
    stored: re.Pattern[str]


OURS = Program(
    name="python",
    command=(sys.executable, "-m", "drand.cli.main"),
    ready="drand is ready",
    leads="candidate joined",
    stored=re.compile(r'(?:round made|catching up)\t.*"round": (\d+)'),
)


def go_program(path: str) -> Program:
    """The Go implementation at `path`."""
    return Program("go", (path,), "beacon id [", '"leader": true', re.compile(r'NEW_BEACON_STORED": "\{ round: (\d+)'))


@dataclass(frozen=True)
class Response:
    """What an HTTP request was answered with."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Tls:
    """The certificate of one node, and whom the nodes trust."""

    certificate: Path
    key: Path
    trusted: Path  # a folder of roots

    @property
    def context(self) -> ssl.SSLContext:
        """For a client that trusts the same roots."""
        context = ssl.create_default_context()
        for root in self.trusted.iterdir():
            context.load_verify_locations(root)
        return context


@dataclass(kw_only=True)
class Node:
    """One node's folder and addresses, the program that lives in it, and its daemon while it runs."""

    name: str
    folder: Path
    private: str
    public: str
    control: str
    program: Program = OURS
    tls: Tls | None = None
    environment: dict[str, str] = field(default_factory=dict)
    daemon: Running | None = None

    @property
    def beacon_folder(self) -> Path:
        """Where the files of the default beacon are."""
        return self.folder / "multibeacon" / "default"

    # ------------------------------------------------------------ commands

    def begin(self, *arguments: str) -> Running:
        """Start a command and leave it running."""
        return Running([*self.program.command, *arguments], environment=self.environment)

    def run(self, *arguments: str) -> str:
        """The output of a command that succeeds."""
        return self.begin(*arguments).succeed()

    def refuses(self, *arguments: str) -> str:
        """The output of a command that fails."""
        return self.begin(*arguments).refuse()

    def ask(self, *arguments: str, with_: Program | None = None) -> str:
        """The output of a command about this node's daemon, with this node's program or another's command line."""
        command = [*(with_ or self.program).command, *arguments, "--control", self.control]
        return Running(command, environment=self.environment).succeed()

    def make_keys(self, scheme: str = "pedersen-bls-chained", beacon_id: str = "default") -> str:
        """Generate the key pair; returns what was printed."""
        flags = ["--folder", str(self.folder), "--control", self.control, "--scheme", scheme, "--id", beacon_id]
        return self.run("generate-keypair", *flags, *([] if self.tls else ["--tls-disable"]), self.private)

    # ------------------------------------------------------------ the daemon

    def launch(self, *extra: str, before_start: Callable[[], None] | None = None) -> Running:
        """Start the daemon without waiting for it."""
        arguments = ["start", "--folder", str(self.folder), "--control", self.control, *extra]
        arguments += ["--private-listen", self.private, "--public-listen", self.public]
        if self.tls is None:
            arguments += ["--tls-disable"]
        else:
            arguments += ["--tls-cert", str(self.tls.certificate), "--tls-key", str(self.tls.key)]
            arguments += ["--certs-dir", str(self.tls.trusted)]
        self.daemon = Running(
            [*self.program.command, *arguments], environment=self.environment, before_start=before_start
        )
        return self.daemon

    def start(self, *extra: str) -> Running:
        """Start the daemon and wait until it can be used."""
        daemon = self.launch(*extra)
        daemon.wait_for(self.program.ready)
        return daemon

    def kill(self) -> None:
        """SIGKILL: what a power cut looks like to the process."""
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon."""
        daemon, self.daemon = self.daemon, None
        if daemon is not None:
            daemon.end(number)

    @property
    def log(self) -> str:
        """What the daemon printed."""
        assert self.daemon is not None
        return self.daemon.output

    def wait_round(self, round_: int, patience_s: float = 0) -> int:
        """Wait until the daemon's log says that `round_` or a later one is stored; returns that round."""
        assert self.daemon is not None

        def reached(line: str) -> bool:
            match = self.program.stored.search(line)
            return match is not None and int(match[1]) >= round_

        line = self.daemon.wait_until(reached, f"round {round_} at {self.name}", patience_s=patience_s)
        match = self.program.stored.search(line)
        assert match is not None
        return int(match[1])

    # ------------------------------------------------------------ HTTP

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """GET from the HTTP API."""
        if self.tls is None:
            connection = http.client.HTTPConnection(self.public, timeout=PATIENCE_S)
        else:
            connection = http.client.HTTPSConnection(self.public, timeout=PATIENCE_S, context=self.tls.context)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def body(self, path: str) -> bytes:
        """The body of an answer that must be 200."""
        answer = self.get(path)
        assert answer.status == 200, f"{self.name}{path}: {answer.status} {answer.body!r}"
        return answer.body


@dataclass(frozen=True, kw_only=True)
class Ceremony:
    """What a key generation is held with; periods are short, so that round 1 is soon."""

    threshold: int
    period: str = "1s"
    catchup_period: str = "1s"
    timeout: str = "1s"
    scheme: str = "pedersen-bls-chained"
    beacon_id: str = "default"


class Network:
    """Nodes below one folder, the first of which leads; use it with `with`: it ends every daemon."""

    def __init__(
        self, folder: Path, programs: Sequence[Program] | int, tls: Callable[[int], Tls] | None = None
    ) -> None:
        self.folder = folder
        self.secret = "a secret that is long enough for the ceremony"
        self.secret_file = folder / "secret"
        self.secret_file.write_text(self.secret)  # once: a `share` that reads while it is rewritten finds it empty
        made = [OURS] * programs if isinstance(programs, int) else programs
        self.nodes = [self._node(number, program) for number, program in enumerate(made)]
        for number, node in enumerate(self.nodes):
            node.tls = tls(number) if tls else None

    def _node(self, number: int, program: Program) -> Node:
        private, public, control = free_ports(3)
        return Node(
            name=f"node{number}-{program.name}",
            folder=self.folder / f"node{number}",
            private=f"127.0.0.1:{private}",
            public=f"127.0.0.1:{public}",
            control=str(control),
            program=program,
        )

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: object) -> None:
        running = [node.daemon for node in self.nodes if node.daemon is not None]
        for daemon in running:
            daemon.send(signal.SIGCONT)  # a stopped process would not hear the other signal
            daemon.send(signal.SIGTERM)
        for node in self.nodes:
            node.stop()

    def start(self, scheme: str = "pedersen-bls-chained") -> None:
        """Keys and daemons."""
        making = [self._making(node, scheme) for node in self.nodes]
        for made in making:
            made.succeed()
        daemons = [node.launch() for node in self.nodes]
        for node, daemon in zip(self.nodes, daemons, strict=True):
            daemon.wait_for(node.program.ready)

    def _making(self, node: Node, scheme: str) -> Running:
        flags = ["--folder", str(node.folder), "--control", node.control, "--scheme", scheme]
        return node.begin("generate-keypair", *flags, *([] if node.tls else ["--tls-disable"]), node.private)

    def lead(self, ceremony: Ceremony, nodes: Sequence[Node] | None = None) -> Running:
        """The `share` command of the first of `nodes` (all), running; its daemon takes candidates already."""
        members = self.nodes if nodes is None else nodes
        leader = members[0]
        flags = ["--leader", "--nodes", str(len(members)), "--threshold", str(ceremony.threshold)]
        flags += ["--period", ceremony.period, "--catchup-period", ceremony.catchup_period]
        assert leader.daemon is not None
        before = len(leader.daemon.lines)
        running = self.share(leader, ceremony.beacon_id, *flags, "--timeout", ceremony.timeout)
        leader.daemon.wait_for(leader.program.leads, since=before)
        return running

    def join(self, node: Node, leader: Node, beacon_id: str = "default") -> Running:
        """The `share` command of a participant, running."""
        return self.share(node, beacon_id, "--connect", leader.private)

    def shares(self, ceremony: Ceremony, nodes: Sequence[Node] | None = None) -> list[Running]:
        """The `share` commands of `nodes`, the first of which leads, running."""
        leader, *others = self.nodes if nodes is None else nodes
        leading = self.lead(ceremony, nodes)
        return [leading, *(self.join(node, leader, ceremony.beacon_id) for node in others)]

    def gather(self, ceremony: Ceremony, silent: Node) -> list[Running]:
        """Begin a ceremony in which `silent` joins and is dead before the group is proposed; the others' `share`s."""
        leader, *others = self.nodes
        leading = self.lead(ceremony)
        joining = self.join(silent, leader)
        assert leader.daemon is not None
        leader.daemon.wait_for(f'joined\t{{"address": "{silent.private}"')
        silent.kill()
        joining.refuse()
        return [leading, *(self.join(node, leader) for node in others if node is not silent)]

    def share(self, node: Node, beacon_id: str, *flags: str) -> Running:
        """One `share` command, running."""
        common = ["--control", node.control, "--secret-file", str(self.secret_file), "--id", beacon_id]
        return node.begin("share", *common, *([] if node.tls else ["--tls-disable"]), *flags)

    def hold(self, ceremony: Ceremony, nodes: Sequence[Node] | None = None) -> list[str]:
        """A whole key generation; returns what each `share` printed."""
        shares = self.shares(ceremony, nodes)
        for share in reversed(shares):  # a participant's reason comes sooner than the leader's end of patience
            share.succeed()
        return [share.output for share in shares]
