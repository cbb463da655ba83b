"""How fast a node catches up: a chain made with a known key, served by one of our nodes to one that has nothing.

Ours is a member of the group that starts with an empty store and catches up by itself. Go's is told to follow the same
chain from the same peer (its `drand sync --follow`), which verifies one by one.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contestants import METADATA, Contestant, contestants, make_keys, say, wait_answering
from bench.table import Row
from collective.secret import SecretScalar
from collective.sharing.polynomial import SecretPolynomial
from drand.cli.local_network import LocalNetwork, LocalNode
from drand.daemon.epochs import write_group_file
from drand.daemon.folders import BeaconFolder
from drand.model.chain import Beacon, Index, Round
from drand.model.group import NANOSECONDS, Group, Node, Peer
from drand.model.packets import Metadata
from drand.model.schemes import Scheme, scheme_named
from drand.model.share import Share
from drand.net.control_client import ControlClient
from drand.net.handlers import FollowOrder
from drand.store.sqlite import open_store
from drand.vault.folder import VaultFolder

SCHEME = "bls-unchained-g1-rfc9380"
PERIOD_S = 3600  # no round falls due while we measure
KNOWN_SECRETS = (7, 11)  # coefficients of a polynomial that protects nothing but this measurement
PATIENCE_S = 300.0


def measure(rounds: int = 3000, samples: int = 2) -> list[Row]:
    """Beacons a second, from a node that is ready (ours) or was told to follow (Go) to its last stored beacon."""
    say(f"sync: making a chain of {rounds} rounds")
    chain = made_chain(rounds)
    rates: dict[str, list[float]] = {}
    for number in range(samples):
        for who in contestants():
            say(f"sync: sample {number + 1} of {samples}, {who.name}")
            rates.setdefault(who.name, []).append(rounds / (_ours_s if who.ours else _go_s)(who, chain))
    ours, go = rates["ours"], rates.get("go")
    return [
        Row(
            what="catching up from a peer of ours",
            unit="beacons/s",
            ours=statistics.median(ours),
            go=statistics.median(go) if go else None,
            spread=(min(ours), max(ours)),
            note=f"{rounds} rounds, signatures on G1; Go follows, ours is a member",
        )
    ]


def _polynomial(scheme: Scheme) -> SecretPolynomial:
    return SecretPolynomial(tuple(SecretScalar(one) for one in KNOWN_SECRETS), scheme.key_group.order)


def made_chain(rounds: int) -> list[Beacon]:
    """Rounds 0 to `rounds` under the known key."""
    scheme, secret = scheme_named(SCHEME), SecretScalar(KNOWN_SECRETS[0])
    signed = (Beacon(Round(one), scheme.bls.sign(secret, scheme.digest(one, b""))) for one in range(1, rounds + 1))
    return [Beacon(Round(0), bytes(32)), *signed]


@contextmanager
def _network(chain: list[Beacon]) -> Iterator[tuple[LocalNetwork, Group]]:
    """Two nodes of one group: the first, ours and running, has the chain; the second has nothing and does not run."""
    with tempfile.TemporaryDirectory(prefix="drand-bench-") as folder:
        made = LocalNetwork(Path(folder), 2, contestants()[0].command)
        server = made.nodes[0]
        for node in made.nodes:
            make_keys(node)
        group = _group(made, len(chain) - 1)
        for index, node in enumerate(made.nodes):
            _settle(node, group, Index(index))
        store = open_store(BeaconFolder(server.folder, "default").store, chained=False)
        store.append(chain)
        store.close()
        try:
            server.start()
            wait_answering(server)
            yield made, group
        finally:
            made.stop()


def _group(made: LocalNetwork, rounds: int) -> Group:
    scheme = scheme_named(SCHEME)
    keys = [VaultFolder(BeaconFolder(node.folder, "default").root).load_key_pair() for node in made.nodes]
    nodes = sorted((pair.identity for pair in keys), key=lambda identity: _place(made, identity.address))
    public = tuple(scheme.key_group.encode(scheme.bls.public_key(SecretScalar(one))) for one in KNOWN_SECRETS)
    return Group(
        nodes=tuple(Node(identity, Index(place)) for place, identity in enumerate(nodes)),
        threshold=len(KNOWN_SECRETS),
        period_ns=PERIOD_S * NANOSECONDS,
        catchup_period_ns=PERIOD_S * NANOSECONDS,
        genesis_unix_s=int(time.time())
        - rounds * PERIOD_S
        + PERIOD_S // 2,  # the last round fell due half a period ago
        genesis_seed=bytes(32),
        scheme=scheme,
        public_key=public,
    )


def _place(made: LocalNetwork, address: str) -> int:
    return [node.private for node in made.nodes].index(address)


def _settle(node: LocalNode, group: Group, index: Index) -> None:
    """Write group and share as Go would: a node that starts on them adopts them."""
    folder = BeaconFolder(node.folder, "default")
    folder.make()
    write_group_file(folder.group_file, group)
    share = Share(index, _polynomial(group.scheme).evaluate(index), group.public_key, group.scheme)
    VaultFolder(folder.root).save_share(share)


def _ours_s(_who: Contestant, chain: list[Beacon]) -> float:
    """Seconds from the node's readiness to its last stored beacon."""
    with _network(chain) as (made, _):
        node = made.nodes[1]
        node.start()
        wait_answering(node)
        started = time.monotonic()
        with ControlClient(node.control) as control:
            while control.status(METADATA).chain.last_round < len(chain) - 1:
                _give_up_after(started)
                time.sleep(0.01)
        return time.monotonic() - started


def _go_s(who: Contestant, chain: list[Beacon]) -> float:
    """Seconds from the order to follow to the progress that reports the last beacon."""
    with _network(chain) as (made, group), tempfile.TemporaryDirectory(prefix="drand-bench-") as folder:
        follower = LocalNetwork(Path(folder), 1, who.command).nodes[0]
        make_keys(follower)
        follower.start()
        try:
            wait_answering(follower)
            order = FollowOrder(peers=(Peer(made.nodes[0].private, tls=False),), up_to=Round(len(chain) - 1))
            metadata = Metadata(METADATA.version, METADATA.beacon_id, group.chain_info().hash())
            started = time.monotonic()
            with ControlClient(follower.control) as control:
                for progress in control.follow(metadata, order):
                    _give_up_after(started)
                    if progress.current >= len(chain) - 1:
                        return time.monotonic() - started
        finally:
            follower.stop()
    raise RuntimeError("following ended before the last round")


def _give_up_after(started: float) -> None:
    if time.monotonic() - started > PATIENCE_S:
        raise TimeoutError(f"not caught up after {PATIENCE_S:.0f} s")
