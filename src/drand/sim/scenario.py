"""What one simulated run is like: how many nodes, what goes wrong, and who lies. Everything follows from the seed."""

import random
from dataclasses import dataclass, replace
from enum import Enum

from collective.sim.network import LinkRules
from drand.model.group import minimum_threshold
from drand.model.schemes import Scheme
from drand.sim.toy_schemes import toy_scheme

MOST_CEREMONY_LOSS = 0.05
FLAWLESS = LinkRules()  # nothing is lost, doubled or held back


class Lie(Enum):
    """What a liar does. In everything else it runs the production machines and follows the protocol."""

    TWO_DEALS = "deals twice: half of the nodes get one polynomial, half another"
    BAD_SHARE = "seals a wrong share to one node, and justifies it when it complains"
    BAD_SHARE_UNJUSTIFIED = "seals a wrong share to one node, and does not answer its complaint"
    FALSE_JUSTIFICATION = "seals a wrong share to one node, and shows another wrong one when it complains"
    TWO_RESPONSES = "signs two verdicts: half of the nodes hear that all is well, half that nothing is"
    COMPLAINER = "complains about every dealer"
    SILENT_DEALER = "joins, but sends nothing in the key generation"
    WRONG_PARTIALS = "signs every round wrongly"
    SILENT_SIGNER = "never sends a partial"
    REPLAYER = "sends old bundles and partials again, at any time"
    STRAY_PARTIALS = "sends partials of rounds that are not due, long past, or under the indices of others"
    LYING_ARCHIVE = "serves beacons that do not verify to whoever catches up from it"
    TWO_VERDICTS = "signs two verdicts: half of the nodes hear that all is well, half that only its own deal is"
    TWO_JUSTIFICATIONS = "complains so that everybody justifies, and shows two justifications of a wrong share itself"
    MOVED_BORDERS = "seals a share of odd length, and sends half of the nodes the same deal with its borders moved"
    RELABELLER = "sends the answers of all as deals: the signatures hold, since no hash says what it is of"


# Whoever shows different faces to different nodes can split them where messages overtake each other (a copy of one face
# hides the other). It takes a vote on every bundle to rule that out, which the wire of v1.5 does not have
# (docs/decisions/0008-dkg-agreement.md). With such a liar links keep their order in this world.
TWO_FACED = (Lie.TWO_DEALS, Lie.TWO_RESPONSES, Lie.TWO_VERDICTS, Lie.TWO_JUSTIFICATIONS)

# These came later. They take every other turn of a lie like them, so that older seeds still tell the same story.
EVERY_OTHER_TURN = {
    Lie.TWO_RESPONSES: Lie.TWO_VERDICTS,
    Lie.FALSE_JUSTIFICATION: Lie.TWO_JUSTIFICATIONS,
    Lie.BAD_SHARE: Lie.MOVED_BORDERS,
    Lie.REPLAYER: Lie.RELABELLER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run: a fresh ceremony, then rounds. Faults stop `calm_rounds` before the end, and never come back."""

    nodes: int
    threshold: int
    scheme: Scheme
    lie: Lie | None = None  # what the last node does wrong; None: all are honest
    links: LinkRules = FLAWLESS  # until faults stop; afterwards nothing is lost, doubled or held back
    ordered: bool = False  # whether messages from one node to another keep their order, as on one connection
    period_s: int = 5
    catchup_period_s: int = 1
    phase_s: int = 10  # of the key generation
    rounds: int = 50
    calm_rounds: int = 14  # by then everybody must have caught up
    clock_offset_s: float = 0.0  # most that a clock is wrong at the start, either way
    clock_drift_ppm: float = 0.0  # most that it runs fast or slow
    clock_steps: int = 0  # how many times somebody sets a clock wrong
    clock_step_s: float = 0.0  # most that such a step is, either way
    ceremony_crashes: int = 0  # nodes that crash in the key generation, between any two effects
    crashes: int = 0  # in the rounds
    down_s: float = 10.0  # mean time that a crashed node stays down
    cuts: int = 0  # pairs of nodes that do not hear each other for a while, one way or both
    cut_s: float = 20.0  # mean length of a cut
    full_disks: int = 0  # disks that refuse to write for a while
    full_s: float = 8.0  # mean length of that
    vault_contact_s: float = 0.0  # out of every minute, how long the vaults can be reached; 0: they are always there

    @property
    def clock_bound_s(self) -> float:
        """No clock is ever more wrong than this."""
        longest_s = 600 + self.rounds * self.period_s
        return self.clock_offset_s + longest_s * self.clock_drift_ppm / 1e6 + self.clock_steps * self.clock_step_s

    @property
    def ceremony_links(self) -> LinkRules:
        """The links until the rounds begin: nobody acknowledges a bundle, and a handful of copies can all get lost."""
        return replace(self.links, loss=min(self.links.loss, MOST_CEREMONY_LOSS))

    @property
    def quiet_round(self) -> int:
        """Faults stop when this round falls due."""
        return self.rounds - self.calm_rounds


def _lie_of(seed: int) -> Lie | None:
    turns = (None, *(lie for lie in Lie if lie not in EVERY_OTHER_TURN.values()))
    lie = turns[seed % len(turns)]
    if lie in EVERY_OTHER_TURN and seed // len(turns) % 2 == 0:
        return EVERY_OTHER_TURN[lie]
    return lie


def scenario_of(seed: int, *, scheme: Scheme | None = None) -> Scenario:
    """The scenario of one seed: every size, threshold, lie and mixture of faults comes up within a few dozen seeds.

    scheme   in place of a toy scheme, chained for even seeds and unchained for odd ones

    The ceremony is left enough honest nodes that stay up: with fewer than `threshold` nobody could finish it.
    """
    chance = random.Random(f"scenario {seed}")
    size = chance.randint(4, 7)
    lie = _lie_of(seed)
    spare = size - minimum_threshold(size)
    ceremony_crashes = chance.randint(0, spare - (lie is not None))
    threshold = chance.randint(minimum_threshold(size), size - (lie is not None) - ceremony_crashes)
    calm = chance.random() < 0.1  # every tenth run is free of faults: what a liar alone can do
    lossy = LinkRules(
        delay_mean_s=chance.choice((0.01, 0.05, 0.2)),
        loss=chance.choice((0.0, 0.02, 0.05, 0.2)),
        duplication=chance.choice((0.0, 0.05, 0.2)),
        reordering=chance.choice((0.0, 0.1)),
    )
    return Scenario(
        nodes=size,
        threshold=threshold,
        scheme=scheme or toy_scheme(chained=seed % 2 == 0),
        lie=lie,
        links=FLAWLESS if calm else lossy,
        ordered=lie in TWO_FACED or chance.random() < 0.2,
        catchup_period_s=chance.choice((0, 1, 2)),
        clock_offset_s=chance.choice((0.0, 0.1, 0.4)),
        clock_drift_ppm=chance.choice((0.0, 50.0)),
        clock_steps=0 if calm else chance.choice((0, 0, 1, 2)),
        clock_step_s=1.5 if seed % 7 else 300.0,
        ceremony_crashes=0 if calm else ceremony_crashes,
        crashes=0 if calm else chance.randint(0, size),
        cuts=0 if calm else chance.randint(0, 4),
        full_disks=0 if calm else chance.choice((0, 0, 1)),
        vault_contact_s=0.0 if calm else chance.choice((0.0, 0.0, 0.0, 40.0)),
    )
