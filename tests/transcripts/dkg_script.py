"""Reads the head of a key generation's transcript, runs it, and writes down what happened.

    dkg nodes=4 threshold=3                 a fresh session; node 0 leads
    dkg old=0,1,2,3 new=0,1,2,4 threshold=3 old-threshold=3
                                            a resharing; places are counted over all nodes, by key
    silent 3                                nobody gets anything from node 3
    bad-share 2->0                          node 2 seals a wrong share to node 0 (and shows the right one when asked)
    stubborn 2                              node 2 shows wrong shares in public as well
    equivocate 3                            node 3 sends one deal to half of the others, and another to the rest
    crash 1 at=0.15 restart=0.55            node 1 loses all but its disk and its vault
    repeat 2 at=40                          everybody gets node 2's deal once more
    foreign 2 at=0.3                        everybody gets a deal that node 2 signed in another session

Times are seconds. Nodes talk over links of 0.1 s that keep the order; a phase is 10 s. Passing on is not shown.
"""

from dataclasses import replace
from typing import Any

from collective.errors import CollectiveError
from drand.model.bundles import Bundle, DealBundle, JustificationBundle, ResponseBundle
from drand.protocol.dkg import HandedOver, KeyGenerated, KeyGenerationFailed
from drand.protocol.steps import CulpritNamed, PhaseChanged
from tests.support.dkg_world import World, fresh_terms, resharing_terms, vaults

SEPARATOR = "----"


class Script:
    """One transcript: `head` are its lines above the separator."""

    def __init__(self, head: list[str]) -> None:
        commands = [line.split() for line in head if line.strip() and not line.startswith("#")]
        self.lines: list[str] = []
        self.world = self._world(dict(word.split("=") for word in commands[0][1:]))
        self.world.watch = self._write
        for command in commands[1:]:
            words = [word for word in command[1:] if "=" not in word]
            self._prepare(command[0], words, {k: float(v) for k, v in (w.split("=") for w in command[1:] if "=" in w)})

    def run(self) -> list[str]:
        self.world.run()
        return self.lines

    # ------------------------------------------------------------ the head

    @staticmethod
    def _world(given: dict[str, str]) -> World:
        threshold = int(given["threshold"])
        if "nodes" in given:
            members = vaults(int(given["nodes"]))
            return World(members, fresh_terms(members, threshold))
        old, new = ([int(place) for place in given[which].split(",")] for which in ("old", "new"))
        everybody = vaults(len({*old, *new}))
        dealers, holders = [everybody[place] for place in old], [everybody[place] for place in new]
        return World(everybody, resharing_terms(dealers, holders, int(given["old-threshold"]), threshold))

    def _prepare(self, command: str, words: list[str], times: dict[str, float]) -> None:
        world, name = self.world, words[0]
        match command:
            case "silent":
                world.silent.add(name)
            case "bad-share":
                dealer, holder = name.split("->")
                world.nodes[dealer].vault.corrupt_for = frozenset({int(holder)})
            case "stubborn":
                world.nodes[name].vault.lies_again = True
            case "equivocate":
                world.equivocate(name)
            case "crash":
                world.at(times["at"], name, "crash")
                world.at(times["restart"], name, "restart")
            case "repeat" | "foreign":
                vault = world.nodes[name].vault
                bundle = vault.deal(world.terms)
                assert bundle is not None
                if command == "foreign":
                    bundle = vault.signed(replace(bundle, session_id=bytes(32)))
                for other in world.nodes:
                    if other != name:
                        world.at(times["at"], other, "bundle", bundle)
            case _:
                raise AssertionError(f"no such command: {command}")

    # ------------------------------------------------------------ the tail

    def _write(self, now: float, node: str, what: Any) -> None:
        text = self._own(node, what) if isinstance(what, Bundle) else self._say(what)
        if text is not None:
            self.lines.append(f"{now:6.2f}  {node}{text}")

    def _own(self, node: str, bundle: Bundle) -> str | None:
        """The bundle in words; None for one that is only passed on."""
        key = self.world.nodes[node].vault.key
        place = self.world.terms.holder(key) if isinstance(bundle, ResponseBundle) else self.world.terms.dealer(key)
        if place is None or place.index != bundle.author:
            return None
        match bundle:
            case DealBundle():
                return f"> deal           {len(bundle.commits)} commitments, {len(bundle.deals)} sealed shares"
            case ResponseBundle():
                bad = [str(response.dealer_index) for response in bundle.responses if not response.valid]
                return f"> response       {'complaint about ' + ', '.join(bad) if bad else 'all shares are right'}"
            case JustificationBundle():
                return f"> justification  share for {', '.join(str(s.share_index) for s in bundle.justifications)}"

    @staticmethod
    def _say(what: Any) -> str | None:
        match what:
            case PhaseChanged(phase, received, expected):
                return f"  {phase.value}, {received}/{expected} bundles came"
            case CulpritNamed(_, text, proved):
                return f"  {'proved' if proved else 'named'}: {text}"
            case KeyGenerated() as key:
                nodes = " ".join(map(str, key.qualified))
                return f"  has share {key.index} of key {key.commits[0].hex()[:8]}, qualified {nodes}"
            case HandedOver():
                return "  leaves"
            case KeyGenerationFailed(reason=reason):
                return f"  failed: {reason}"
            case CollectiveError():
                return f"  refuses ({type(what).__name__}): {what}"
            case str():
                return f"  {what}"
            case _:
                return None
