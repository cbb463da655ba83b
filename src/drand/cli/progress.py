"""A ceremony, watched: who has joined, which phase runs, how many bundles are in. Drawn on stderr."""

import os
import sys
import threading
from typing import TYPE_CHECKING, Protocol

import click

from collective.errors import CollectiveError
from drand.cli.root import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from drand.net.control_client import ControlClient
    from drand.net.handlers import CeremonyProgress

ASK_AGAIN_S = 0.5
MOST_REFUSALS = 20  # a daemon of another make knows no such stream; ours refuses only until the beacon is loaded

# stage -> what happens, in the order of a ceremony
STAGES = {
    "waiting": "participants gather",
    "proposed": "the leader proposes the group",
    "dealing": "deals are exchanged",
    "responding": "responses are exchanged",
    "justifying": "complaints are answered",
    "finished": "the group's key is generated",
    "failed": "the ceremony failed",
}
PHASES = ("dealing", "responding", "justifying")


class Display(Protocol):
    """Shows one ceremony."""

    def show(self, progress: "CeremonyProgress") -> None:
        """Show this moment."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def counts(progress: "CeremonyProgress") -> str:
    """The numbers of this moment, and why it does not go on; "" where there is nothing to say."""
    if progress.stage in PHASES and progress.wanted_bundles:
        return f"{progress.received} of {progress.wanted_bundles} bundles"
    present = f"{len(progress.joined)} of {progress.wanted} nodes"
    gathering = progress.stage in ("waiting", "proposed") and progress.wanted
    return "; ".join(([present] if gathering else []) + ([one_line(progress.reason)] if progress.reason else []))


class PlainLines:
    """One line for everything that is new: for logs and pipes."""

    def __init__(self) -> None:
        self._joined: set[str] = set()
        self._last = ""

    def show(self, progress: "CeremonyProgress") -> None:
        """A line for each node that joined, and one for a stage or a count that changed."""
        for address in progress.joined:
            if address not in self._joined:
                self._joined.add(address)
                click.echo(f"joined: {one_line(address)}", err=True)
        numbers = counts(progress)
        line = f"{progress.stage}: {STAGES.get(progress.stage, progress.stage)}" + (f" ({numbers})" if numbers else "")
        if line != self._last:
            self._last = line
            click.echo(line, err=True)

    def close(self) -> None:
        """Nothing to put back."""


class LivePicture:
    """A picture that is drawn again in place: for people."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False)
        self._live.start()

    def show(self, progress: "CeremonyProgress") -> None:
        """Draw this moment."""
        self._live.update(picture(progress, self._live.console.height), refresh=True)

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._live.stop()


def picture(progress: "CeremonyProgress", height: int) -> "RenderableType":
    """Who is there, and the stages with a mark at those behind us, on a screen of `height` lines.

    Where a large group has no room the nodes that come last are counted, so that the stages are always seen.
    """
    from rich.console import Group
    from rich.text import Text

    role = "leader" if progress.leader else "participant"
    lines = [Text(f"ceremony of beacon {progress.beacon_id}, as {role}", style="bold")]
    nodes = [Text(f"  + {one_line(address)}", style="green") for address in progress.joined]
    nodes += [Text("  . nobody yet", style="dim")] * max(0, progress.wanted - len(progress.joined))
    room = max(height - len(STAGES) - 1, 1)  # `failed` is never among the others: its line is the headline's
    if len(nodes) > room:
        nodes[room - 1 :] = [Text(f"  ... and {len(nodes) - room + 1} more", style="dim")]
    lines += nodes
    names = list(STAGES)
    here = names.index(progress.stage) if progress.stage in STAGES else 0
    for place, (stage, meaning) in enumerate(STAGES.items()):
        if stage == progress.stage == "finished":
            lines.append(Text(f"* {meaning}", style="bold green"))
        elif stage == progress.stage:
            style = "bold red" if stage == "failed" else "bold cyan"
            lines.append(Text(f"> {meaning}  {counts(progress)}".rstrip(), style=style))
        elif stage != "failed" and progress.stage != "failed":
            lines.append(Text(f"{'*' if place < here else ' '} {meaning}", style="dim"))
    return Group(*lines)


def chosen_display() -> Display:
    """A picture on a terminal that can draw again in place, lines elsewhere."""
    can_draw = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    return LivePicture() if can_draw else PlainLines()


class CeremonyWatch:
    """Follows the ceremony of one beacon in a thread of its own, while another waits for its end; use it with `with`.

    `seen` tells whether the daemon shows progress at all. One that does not is not an error: the ceremony is its own.
    """

    def __init__(self, client: "ControlClient", beacon_id: str, display: Display) -> None:
        self.seen = False
        self._client = client
        self._beacon_id = beacon_id
        self._display = display
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="ceremony-watch", daemon=True)

    def __enter__(self) -> "CeremonyWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._client.close()  # ends the stream, and with it the thread
        self._thread.join()
        self._display.close()

    def _follow(self) -> None:
        for _ in range(MOST_REFUSALS):
            try:
                for progress in self._client.ceremony(self._beacon_id):
                    self.seen = True
                    self._display.show(progress)
                return
            except CollectiveError:
                # Refused or cut: the thread that ordered the ceremony hears the reason, this one only draws.
                if self._over.wait(ASK_AGAIN_S):
                    return
            except ValueError:
                return  # gRPC's answer to a call on a channel that was closed: nobody watches any more
