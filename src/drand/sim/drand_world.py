"""A network of simulated nodes: its operators hold a ceremony, faults come and go, rounds are made and checked."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from collective.entropy import random_scalar
from collective.secret import SecretScalar
from collective.sim.clocks import SimulatedClock
from collective.sim.network import Network
from collective.sim.world import SeededEntropy, World
from drand.model.chain import Round
from drand.model.group import Group, Identity
from drand.model.packets import Message
from drand.model.schemes import Scheme
from drand.protocol.ceremony_view import State
from drand.protocol.steps import Commanded, JoinCeremony, LeadCeremony
from drand.sim.checks import Checks
from drand.sim.liars import LIARS, Liar
from drand.sim.links import Links, encoded
from drand.sim.node import Around, SimulatedNode
from drand.sim.scenario import Scenario
from drand.sim.vault_path import VaultHost, contact_plan
from drand.vault.keeper import KeyPair

SHARED_SECRET = b"the ceremony's secret, which every operator was given"
JOIN_WITHIN_S = 5.0  # operators type their commands
CEREMONY_WITHIN_S = 240.0  # after that nobody waits for it any more
LIE_EVERY_S = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to, for reports and for tests of the world itself."""

    seed: int
    trace: str  # 64 hex digits over everything that happened
    steps: int
    rounds: int
    members: tuple[int, ...]  # indices of the qualified nodes
    finished: int  # honest nodes that finished the ceremony
    deaths: int
    lost: int  # messages


class DrandWorld:
    """One run of one scenario. `run` raises SafetyViolated, which carries the seed, or answers with the outcome.

    node_type   tests plant bugs here
    """

    def __init__(self, seed: int, scenario: Scenario, *, node_type: type[SimulatedNode] = SimulatedNode) -> None:
        self.scenario = scenario
        self.world = World(seed)
        self.network = Network(self.world, scenario.ceremony_links)
        self.checks = Checks(self.world, scenario)
        self.around = Around(
            world=self.world,
            links=Links(self.world, self.network, ordered=scenario.ordered),
            checks=self.checks,
            scheme=scenario.scheme,
            started=self._operate,
        )
        self._began_s = self.world.now
        self._chance = random.Random(f"faults {seed}")
        self._lengths = random.Random(f"lengths of cuts {seed}")
        self._node_type = node_type
        self.nodes = [self._new_node(number) for number in range(scenario.nodes)]
        self.around.nodes = {node.identity.peer: node for node in self.nodes}

    # ------------------------------------------------------------ the run

    def run(self) -> Outcome:
        """The ceremony, the rounds with faults, the quiet rounds at the end."""
        scenario = self.scenario
        self._ceremony()
        group = self._agreed_group()
        schedule, rounds = group.schedule, scenario.rounds
        quiet_s = float(schedule.due_unix_s(scenario.quiet_round))
        self.network.rules = scenario.links
        self._plan_faults(self.world.now, quiet_s)
        self.world.run(quiet_s)
        self._calm()
        last = max(rounds, schedule.current_round(self._caught_up_s(group)))
        self.world.run(schedule.due_unix_s(last) + 0.8 * scenario.period_s)
        self._check_liveness(group)
        return Outcome(
            seed=self.world.seed,
            trace=self.world.trace,
            steps=self.world.steps,
            rounds=rounds,
            members=tuple(node.index for node in group.nodes),
            finished=len(self._finished()),
            deaths=sum(node.life for node in self.nodes),
            lost=self.network.lost,
        )

    def _ceremony(self) -> None:
        """From the operators' commands until nobody is at work on it any more."""
        for node in self.nodes:
            delay_s = self._chance.uniform(0, JOIN_WITHIN_S)
            self.world.after(delay_s, node.start)
        if self.scenario.lie is not None:
            self._lie(self.nodes[-1])
        honest = [node for node in self.nodes if node.honest]
        for node in self._chance.sample(honest, self.scenario.ceremony_crashes):
            effects, down_s = self._chance.randint(0, 20 * self.scenario.nodes), self._down_s(self.scenario.phase_s / 2)
            # A leader that dies while it pushes the group leaves a ceremony behind that only operators can begin anew.
            node.crash_soon(effects, down_s, in_setup=node is not self.nodes[0])
        self.world.run(self._began_s + CEREMONY_WITHIN_S, stop=lambda: self.checks.group is not None)
        longest_s = 6 * self.scenario.phase_s  # nodes that crashed come back, and find their phases over
        self.world.run(self.world.now + longest_s, stop=lambda: not self._generating())

    def _generating(self) -> bool:
        return any(node.honest and not (node.up and self._settled(node)) for node in self.nodes)

    @staticmethod
    def _settled(node: SimulatedNode) -> bool:
        return node.process.state in (State.RUNNING, State.JOINING, State.LEADING, State.IDLE)

    def _operate(self, node: SimulatedNode) -> None:
        """A node is up: its operator gives the ceremony's command where there is nothing to go on with."""
        if node.process.state is not State.IDLE or node.failures:
            return
        secret, leader = SHARED_SECRET, self.nodes[0]
        if node is not leader:
            node.step(Commanded(JoinCeremony(leader=leader.identity.peer, secret=secret)))
            return
        scenario = self.scenario
        command = LeadCeremony(
            nodes=scenario.nodes,
            threshold=scenario.threshold,
            period_s=scenario.period_s,
            catchup_period_s=scenario.catchup_period_s,
            dkg_timeout_s=scenario.phase_s,
            beacon_offset_s=1,
            secret=secret,
        )
        node.step(Commanded(command))

    def _lie(self, node: SimulatedNode) -> None:
        """Whatever a liar says out of the blue, again and again."""
        assert node.liar is not None
        if node.up:
            for message in node.liar.now_and_then(node):
                self._broadcast(node, message)
        self.world.after(LIE_EVERY_S, lambda: self._lie(node))

    def _broadcast(self, node: SimulatedNode, message: Message) -> None:
        data = encoded(message, self.around.beacon_id)
        for other in self.nodes:
            if other is not node:
                node.post(other.identity.peer, message, data)

    # ------------------------------------------------------------ what goes wrong

    def _plan_faults(self, first_s: float, last_s: float) -> None:
        """Spread the faults of the rounds; each begins and ends before `last_s`."""
        scenario, chance = self.scenario, self._chance
        honest = [node for node in self.nodes if node.honest]

        def moment() -> float:
            return chance.uniform(first_s, last_s)

        for _ in range(scenario.crashes):
            node, effects, down_s = chance.choice(honest), chance.randint(0, 12), self._down_s(scenario.down_s)
            self._at(moment(), partial(node.crash_soon, effects, down_s))
        for _ in range(scenario.cuts):
            one, other = chance.sample(self.nodes, 2)
            self._cut(one.name, other.name, moment(), both=chance.random() < 0.5)
        for _ in range(scenario.clock_steps):
            node, by_s = chance.choice(honest), chance.uniform(-scenario.clock_step_s, scenario.clock_step_s)
            self._at(moment(), partial(node.clock.step, by_s))
        for _ in range(scenario.full_disks):
            self._fill(chance.choice(honest), moment(), chance.expovariate(1 / scenario.full_s))

    def _at(self, unix_s: float, action: Callable[[], None]) -> None:
        self.world.at(unix_s, action)

    def _down_s(self, mean_s: float) -> float:
        return 0.1 + self._chance.expovariate(1 / mean_s)

    def _cut(self, one: str, other: str, start_s: float, *, both: bool) -> None:
        end_s = start_s + self._lengths.expovariate(1 / self.scenario.cut_s)
        for source, target in ((one, other), (other, one))[: 1 + both]:
            self._at(start_s, partial(self.network.cut, source, target))
            self._at(end_s, partial(self.network.mend, source, target))

    def _fill(self, node: SimulatedNode, start_s: float, length_s: float) -> None:
        def fill(*, full: bool) -> None:
            node.disk.fill(full=full)
            node.state_file.fill(full=full)

        self._at(start_s, lambda: fill(full=True))
        self._at(start_s + length_s, lambda: fill(full=False))

    def _calm(self) -> None:
        """All faults stop: links carry everything, disks have room, clocks are set right, who is down comes up."""
        self.network.heal()
        for node in self.nodes:
            node.disk.fill(full=False)
            node.state_file.fill(full=False)
            node.effects_to_live = None
            node.clock.step(self.world.now - node.clock.now())
            if node.host.clock is not node.clock:
                node.host.clock.step(self.world.now - node.host.clock.now())
            node.start()

    def _caught_up_s(self, group: Group) -> float:
        """When a chain that is halted now must be at the current round: rounds fall due while others are made up.

        The round in which a fault ended may be lost, and a node looks for what it lacks at its next tick: five periods.
        """
        period_s = self.scenario.period_s
        made_in_s = self.scenario.catchup_period_s + 0.2 + 3 * self.scenario.links.delay_mean_s  # one round
        behind = group.schedule.current_round(self.world.now) - max(node.disk.last_round for node in self.nodes)
        return self.world.now + behind * made_in_s / (1 - made_in_s / period_s) + 5 * period_s

    # ------------------------------------------------------------ what must have happened

    def _finished(self) -> list[SimulatedNode]:
        return [node for node in self.nodes if node.honest and node.disk.store.epoch() is not None]

    def _agreed_group(self) -> Group:
        """The group; raises unless enough honest nodes have it to make rounds."""
        finished = self._finished()
        if self.checks.group is None or len(finished) < self.scenario.threshold:
            why = {node.name: node.failures or node.process.state.value for node in self.nodes}
            raise self.world.violated(f"{len(finished)} honest nodes finished the ceremony: {why}")
        return self.checks.group

    def _check_liveness(self, group: Group) -> None:
        """Everybody who finished is at the current round, long after the last fault."""
        current = Round(group.schedule.current_round(self.world.now))
        behind = {node.name: node.disk.last_round for node in self._finished() if node.disk.last_round != current}
        if behind:
            raise self.world.violated(f"faults are over, the round is {current}, and still at: {behind}")

    # ------------------------------------------------------------ nodes

    def _new_node(self, number: int) -> SimulatedNode:
        scenario = self.scenario
        keys = new_keys(scenario.scheme, f"node{number}:4000", SeededEntropy(self.world, f"key {number}"))
        liar: Liar | None = None
        if scenario.lie is not None and number == scenario.nodes - 1:
            entropy = SeededEntropy(self.world, "liar")
            liar = LIARS[scenario.lie](keys, entropy, random.Random(f"lies {self.world.seed}"))
        clock, host_clock, plan = self._new_clock(), None, None
        if scenario.vault_contact_s:
            host_clock = self._new_clock()
            first_s = self._began_s + CEREMONY_WITHIN_S / 2
            calm_s = self._began_s + scenario.phase_s * 3 + scenario.quiet_round * scenario.period_s
            plan = contact_plan(self.world, first_s=first_s, calm_s=calm_s, open_s=scenario.vault_contact_s)
        host = VaultHost(self.world, host_clock or clock, plan)
        return self._node_type(keys, self.around, clock, host, liar)

    def _new_clock(self) -> SimulatedClock:
        offset_s, drift_ppm = self.scenario.clock_offset_s, self.scenario.clock_drift_ppm
        return SimulatedClock(
            self.world,
            offset_s=self._chance.uniform(-offset_s, offset_s),
            drift_ppm=self._chance.uniform(-drift_ppm, drift_ppm),
        )


def new_keys(scheme: Scheme, address: str, entropy: SeededEntropy) -> KeyPair:
    """A fresh long-term key pair with its self-signed identity."""
    secret = SecretScalar(random_scalar(entropy, scheme.key_group.order))
    key = scheme.key_group.encode(scheme.bls.public_key(secret))
    unsigned = Identity(address=address, key=key, tls=False, signature=b"", scheme=scheme)
    signature = scheme.bls.sign(secret, unsigned.hash())
    return KeyPair(Identity(address=address, key=key, tls=False, signature=signature, scheme=scheme), secret)
