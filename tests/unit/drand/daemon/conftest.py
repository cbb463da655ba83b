"""What tests of running daemons begin with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drand.net.peer_client import PeerClient
from tests.support.daemons import Planted
from tests.support.shells import Site


@pytest.fixture
async def client() -> AsyncIterator[PeerClient]:
    """A peer of the daemons."""
    made = PeerClient()
    yield made
    await made.close()


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """Nodes with a group, a share and a chain, as a ceremony would have left them."""
    return Planted(tmp_path)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """The shell of a member that has been through its ceremony."""
    made = Site(tmp_path)
    yield made
    made.store.failure = None
    await made.shell.stop()


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[Site]:
    """The shell of a node that has keys and no group."""
    made = Site(tmp_path, with_epoch=False)
    yield made
    made.store.failure = None
    await made.shell.stop()
