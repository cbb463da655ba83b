"""Nodes in processes of their own, and the networks made of them: ours, or another implementation's.

Nothing here waits by sleeping: a wait is for a line that a process prints (tests/support/running.py), or for an answer
that the node itself holds back until it is due.
"""

import http.client
import json
import re
import signal
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports
from tests.support.running import PATIENCE_S, Running


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

    def join(self, node: Node, leader: Node, beacon_id: str = "default", *flags: str) -> Running:
        """The `share` command of a participant, running."""
        return self.share(node, beacon_id, "--connect", leader.private, *flags)

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
