"""Reads the head of a chain's transcript, runs it, and writes down what happened.

    beacon nodes=4 threshold=3 [catchup=1] [chained=no] until=1065
                                            genesis is at 1000, a period is 30 s; all nodes start at 999
    show 0 1                                write down only what these nodes do
    1010 kill 2                             at 1010 the process of node 2 is gone; its disk stays
    1100 boot 2                             and comes back
    1010 cut 2 / 1100 heal 2                node 2 reaches nobody, and nobody reaches it
    1010 vault-away 2 / 1100 vault-back 2   the link to node 2's vault
    1010 clock 2 -60                        node 2's clock is stepped to be a minute slow
    1010 lie 2 7                            node 2's streams carry a false beacon of round 7 from now on
    1010 forge 2 7                          everybody else gets rubbish under index 2 for round 7, from a stranger
    1010 stray 2 7                          ... node 2's signature of round 7 on another history
    1010 early 2 7                          ... node 2's good partial of round 7

Nodes talk over links of 0.02 s; a vault takes 0.005 s. Alarms are not shown.
"""

from collective.errors import CollectiveError
from collective.machine import WakeAt
from drand.protocol.steps import CulpritNamed, Effect, Fact, Noted, Report, RoundMade, RoundMissed, SyncProgressed
from tests.support.committee import GENESIS_S, TOY_CHAINED, TOY_UNCHAINED, Committee
from tests.support.stage import Stage, words

SEPARATOR = "----"


class Script:
    """One transcript: `head` are its lines above the separator."""

    def __init__(self, head: list[str]) -> None:
        first, *rest = [line.split() for line in head if line.strip() and not line.startswith("#")]
        given = dict(word.split("=") for word in first[1:])
        scheme = TOY_UNCHAINED if given.get("chained") == "no" else TOY_CHAINED
        self.size = int(given["nodes"])
        self.committee = Committee(scheme, self.size, int(given["threshold"]), float(given.get("catchup", "1")))
        self.stage = Stage(self.committee, now=GENESIS_S - 1)
        self.until = float(given["until"])
        self.shown = set(range(self.size))
        self.commands: list[tuple[float, list[str]]] = []
        for line in rest:
            if line[0] == "show":
                self.shown = {int(word) for word in line[1:]}
            else:
                self.commands.append((float(line[0]), line[1:]))

    def run(self) -> list[str]:
        """The lines below the separator."""
        for index in range(self.size):
            self.stage.boot(index)
        for at, (command, node, *more) in self.commands:
            self.stage.run(at)
            self._do(command, int(node), [float(word) for word in more])
        self.stage.run(self.until)
        heads = " ".join(f"{index}:{self.stage.head(index)}" for index in range(self.size))
        lines = [
            f"{when:8.2f}  {index}  {_told(what)}"
            for when, index, what in self.stage.log
            if index in self.shown and not isinstance(what, WakeAt)
        ]
        return [*lines, f"{self.until:8.2f}  heads {heads}"]

    def _do(self, command: str, node: int, more: list[float]) -> None:
        stage = self.stage
        match command:
            case "kill":
                stage.kill(node)
            case "boot":
                stage.boot(node)
            case "cut":
                stage.cut.add(node)
            case "heal":
                stage.cut.remove(node)
            case "vault-away":
                stage.vault_away.add(node)
            case "vault-back":
                stage.vault_away.remove(node)
            case "clock":
                stage.offset[node] = more[0]
            case "lie":
                stage.liars[node] = int(more[0])
            case "forge" | "stray" | "early":
                self._whisper(command, node, int(more[0]))
            case _:
                raise ValueError(f"no command {command!r}")

    def _whisper(self, command: str, node: int, round_: int) -> None:
        packets = {
            "forge": lambda: self.committee.bad_partial(node, round_),
            "stray": lambda: self.committee.partial(node, round_, bytes(16)),
            "early": lambda: self.committee.partial(node, round_),
        }
        for index in set(self.stage.nodes) - {node}:
            self.stage.hear(index, packets[command](), self.stage.now)


def _told(what: Effect | CollectiveError) -> str:
    if isinstance(what, CollectiveError):
        return f"refuses: {what}"
    return _fact(what.fact) if isinstance(what, Report) else words([what])[0]


def _fact(fact: Fact) -> str:
    match fact:
        case RoundMade(round_, late_s):
            return f"made round {round_}, {late_s:.2f} s late"
        case RoundMissed(round_, last):
            return f"round {round_} is due, but the chain is at {last}"
        case SyncProgressed(round_, target):
            return f"caught up to {round_} of {target}"
        case CulpritNamed(index, what, _):
            return f"suspects {index}: {what}"
        case Noted(level, text, details):
            return f"{level}: {text}" + "".join(f", {name} {value}" for name, value in details)
        case _:
            return repr(fact)
