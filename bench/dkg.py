"""How long a distributed key generation takes among processes on this machine."""

import statistics

from bench.contestants import Contestant, contestants, hold, network, say
from bench.table import Goal, Row

GO_ON_TWO_CORES_S = {4: 1.1, 8: 1.1, 16: 5.4}  # measured once through Go's command line, the goal where Go is absent


def measure(sizes: tuple[int, ...] = (4, 8, 16), samples: int = 3, samples_above_8: int = 2) -> list[Row]:
    """Medians of wall time from the leader's order to the last node's answer; contestants take turns."""
    rows = []
    for nodes in sizes:
        taken: dict[str, list[float]] = {}
        count = samples if nodes <= 8 else min(samples, samples_above_8)
        for number in range(count):
            for who in contestants():
                say(f"dkg: {nodes} nodes, sample {number + 1} of {count}, {who.name}")
                taken.setdefault(who.name, []).append(once_s(who, nodes))
        ours, go = taken["ours"], taken.get("go")
        go_s = statistics.median(go) if go else None
        rows.append(
            Row(
                what=f"key generation, n = {nodes}",
                unit="s",
                ours=statistics.median(ours),
                go=go_s,
                goal=Goal(most=go_s if go_s is not None else GO_ON_TWO_CORES_S.get(nodes, 5.4)),
                spread=(min(ours), max(ours)),
                note=f"median of {count}",
            )
        )
    return rows


def once_s(who: Contestant, nodes: int) -> float:
    """One key generation of fresh daemons, seconds."""
    with network(who, nodes) as made:
        return hold(made, period_s=30)[1]
