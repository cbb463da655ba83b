"""What tests of running daemons begin with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drand.net.peer_client import PeerClient
from tests.support.daemons import Planted


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
