"""Tell the story of one seed: `python -m tests.simulation.replay 304 --node node2 --until 40`."""

import argparse
import sys
from typing import Any

from collective.machine import Persist, WakeAt
from collective.sim.world import SafetyViolated, World
from drand.model.bundles import JustificationBundle, ResponseBundle
from drand.model.packets import DkgPacket
from drand.model.records import BeaconsStored, BeaconStored, BundleKept, PhaseEntered
from drand.protocol.steps import (
    AskVault,
    Call,
    CeremonyFinished,
    CheckBeacons,
    Effect,
    FetchBeacons,
    GroupProposed,
    Report,
    Send,
)
from drand.sim.drand_world import DrandWorld
from drand.sim.node import SimulatedNode
from drand.sim.scenario import scenario_of
from drand.sim.trace import message_tag

BEGINNING_S = World(0).now


def bundle_words(bundle: Any) -> str:
    """A bundle as one would say it; bundles of one author that differ have different names."""
    words = f"{type(bundle).__name__} of {bundle.author} ({bundle.hash().hex()[:6]})"
    if isinstance(bundle, ResponseBundle):
        words += " " + " ".join(f"{one.dealer_index}{'+' if one.valid else '-'}" for one in bundle.responses)
    if isinstance(bundle, JustificationBundle):
        words += " shows " + " ".join(str(one.share_index) for one in bundle.justifications)
    return words


def words(effect: Effect) -> str | None:
    """One effect as a line; None for what nobody wants to read."""
    match effect:
        case Persist(BeaconStored(beacon)):
            return f"stores round {beacon.round}"
        case Persist(BeaconsStored(beacons)):
            return f"stores rounds {beacons[0].round} to {beacons[-1].round}"
        case Persist(BundleKept(bundle)):
            return f"stores {bundle_words(bundle)}"
        case Persist(PhaseEntered(phase)):
            return f"stores that it is {phase.value}"
        case Persist(record):
            return f"stores {type(record).__name__}"
        case Send(peers, DkgPacket(bundle)):
            return f"sends {bundle_words(bundle)} to {len(peers)}"
        case Send(peers, message):
            return f"sends {message_tag(message)[:40]} to {len(peers)}"
        case Call(_, peer, question):
            return f"asks {peer.address}: {type(question).__name__}"
        case AskVault(request):
            return f"asks its vault: {type(request).__name__} {getattr(request, 'round', '')}"
        case FetchBeacons(_, peer, first, last):
            return f"fetches {first} to {last} from {peer.address}"
        case CheckBeacons(_, _, beacons):
            return f"verifies {len(beacons)} fetched beacons"
        case Report(GroupProposed() | CeremonyFinished() as fact):
            return f"reports {type(fact).__name__}"
        case Report(fact):
            return f"reports {fact}"
        case WakeAt():
            return None
        case _:
            return type(effect).__name__


def talking(only: str, since_s: float, until_s: float) -> type[SimulatedNode]:
    """Nodes that tell what they do, in seconds since the world began."""

    class TalkingNode(SimulatedNode):
        def _tell(self, what: str) -> None:
            age_s = self.around.world.now - BEGINNING_S
            if self.name.startswith(only) and since_s <= age_s <= until_s:
                print(f"{age_s:9.3f}  {self.name.split(':')[0]}{'' if self.honest else '*'}  {what}")

        def _perform(self, effect: Effect) -> None:
            line = words(effect)
            if line is not None:
                self._tell(line)
            super()._perform(effect)

        def start(self) -> None:
            self._tell("starts")
            super().start()

        def crash(self, down_s: float) -> None:
            self._tell(f"dies for {down_s:.1f} s")
            super().crash(down_s)

    return TalkingNode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--node", default="", help="only nodes whose name begins so; a star marks the liar")
    parser.add_argument("--since", type=float, default=0.0, help="seconds since the beginning")
    parser.add_argument("--until", type=float, default=float("inf"))
    arguments = parser.parse_args()
    scenario = scenario_of(arguments.seed)
    print(scenario)
    node_type = talking(arguments.node, arguments.since, arguments.until)
    try:
        print(DrandWorld(arguments.seed, scenario, node_type=node_type).run())
    except SafetyViolated as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
