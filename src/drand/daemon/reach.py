"""Which members of the group our partials reach: for the operator, who else learns of a dead link too late.

Every minute: when partials to `threshold` or more members failed, this node may be cut off (an error); from half of
that on, a warning. Source: drand v1.5.11, chain/beacon/node.go and metrics/threshold_monitor.go.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MinuteReport:
    """One minute's verdict: the level of the log line, its text and its fields."""

    level: int
    text: str
    fields: Mapping[str, object]


@dataclass(slots=True)
class Reach:
    """Notes how sending went. Holds at most one entry for each member of the group."""

    failing: dict[str, str] = field(default_factory=dict)  # address -> why the last partial did not get there
    _minute: dict[str, str] = field(default_factory=dict)  # address -> why, of any partial since the last report

    def note(self, addresses: Sequence[str], failed: Mapping[str, str]) -> None:
        """A partial was sent to `addresses`; those in `failed` did not take it."""
        self.failing = {address: failed[address] for address in addresses if address in failed}
        self._minute.update(self.failing)

    def report(self, threshold: int) -> MinuteReport:
        """The verdict on what happened since the last call."""
        failed, self._minute = self._minute, {}
        level, what = logging.DEBUG, "are below half threshold"
        if failed and len(failed) >= threshold:
            level, what = logging.ERROR, "crossed threshold"
        elif failed and len(failed) >= threshold // 2:
            level, what = logging.WARNING, "crossed half threshold"
        fields = {"failed": len(failed), "threshold": threshold, "nodes": dict(sorted(failed.items()))}
        return MinuteReport(level, f"failed connections {what} in the last minute", fields)
