"""A node's own folder without a daemon, for commands about it."""

from pathlib import Path

from collective.secret import SecretScalar
from drand.daemon.folders import BeaconFolder
from drand.model.chain import Index
from drand.model.share import Share
from drand.store.sqlite import open_store
from drand.vault.folder import VaultFolder
from drand.wire.toml_files import encode_group_file
from tests.support.command_line import Ended, drand
from tests.support.operated import GROUP
from tests.support.served import CHAINED, KEY, beacon


class Node:
    """A folder, and commands about it."""

    def __init__(self, path: Path) -> None:
        self.folder = path / "node"
        self.nobody = f"unix://{path}/nobody.sock"
        self.beacon = BeaconFolder(self.folder, "default")

    def generate(self, *arguments: str) -> Ended:
        """Make its keys; there is no daemon to load them."""
        return drand("generate-keypair", "--folder", self.folder, "--control", self.nobody, *arguments)

    def in_group(self, rounds: int = 5) -> None:
        """Keys, a group file, a share and some rounds."""
        assert self.generate("127.0.0.1:4001").code == 0
        vault = VaultFolder(self.beacon.root)
        vault.save_share(Share(Index(1), SecretScalar(42), (KEY,), CHAINED))
        self.beacon.group_file.write_bytes(encode_group_file(GROUP))
        with_store = open_store(self.beacon.store, chained=True)
        with_store.append([beacon(round_) for round_ in range(rounds + 1)])
        with_store.close()

    def last_round(self) -> int:
        """The last round in its store; -1 when there is none."""
        store = open_store(self.beacon.store, chained=True)
        try:
            last = store.last()
            return last.round if last is not None else -1
        finally:
            store.close()
