"""What a node weighs: resident memory of its process and of the worker processes it has started."""

from pathlib import Path

from drand.cli.local_network import LocalNode


def resident_mb(node: LocalNode) -> float:
    """Resident set of the node's process and its children, MB (10**6 bytes); shared pages count in full."""
    assert node.process is not None
    return sum(_resident_kb(pid) for pid in _family(node.process.pid)) * 1024 / 1e6


def _family(pid: int) -> list[int]:
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(one for child in children for one in _family(child))]


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError(f"process {pid} has no resident memory")
