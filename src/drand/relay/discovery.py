"""Which chains a relay serves: those it is told, or all that its upstreams have."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collective.errors import BadSetting, CollectiveError
from drand.client.bounded_http import BoundedHttp
from drand.client.chains import public_chain
from drand.model.chain import ChainInfo
from drand.model.group import Peer
from drand.model.packets import OUR_VERSION, Metadata
from drand.net.peer_client import PeerClient
from drand.relay.chains import worded
from drand.relay.settings import RelaySettings
from drand.store.sqlite import open_reader
from drand.wire.http_json import parse_chain_info, parse_chains

MAX_LIST_BYTES = 1 << 20
TIMEOUT_S = 10.0

log = logging.getLogger("drand.relay")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One chain to be served: by its information where that is known without asking, else by its hash."""

    chain_hash: bytes
    info: ChainInfo | None
    store: Path | None = None


async def wanted_chains(settings: RelaySettings) -> tuple[Wanted, ...]:
    """The chains to serve, each once, in order. Raises BadSetting when there is none."""
    stored = {info.hash(): (info, path) for path in settings.stores for info in [stored_chain(path)]}
    named = [named_chain(name) for name in settings.chains]
    if not named:
        named = [(chain_hash, info) for chain_hash, (info, _) in stored.items()]
        named += [(chain_hash, None) for chain_hash in await listed(settings.sources)]
    wanted: dict[bytes, Wanted] = {}
    for chain_hash, info in named:
        known, path = stored.get(chain_hash, (None, None))
        wanted.setdefault(chain_hash, Wanted(chain_hash, info or known or public_chain(chain_hash.hex()), path))
    if not wanted:
        raise BadSetting("no upstream serves any chain", hint="name the chains with --chain, or check the upstreams")
    return tuple(wanted.values())


def stored_chain(path: Path) -> ChainInfo:
    """The chain of a node's store; raises StoreFailed, BadSetting before the node's key generation."""
    store = open_reader(path)
    try:
        epoch = store.epoch()
    finally:
        store.close()
    if epoch is None:
        raise BadSetting(f"{path} holds no chain yet", hint="hold the node's key generation first")
    return epoch.group.chain_info()


def named_chain(name: str) -> tuple[bytes, ChainInfo | None]:
    """A built-in name, a chain hash, or a file of chain information. Raises BadSetting, Malformed."""
    from drand.client.trusted_chain import named_chain as built_in

    path = Path(name)
    if not path.is_file():
        return built_in(name)
    with path.open("rb") as file:
        info = parse_chain_info(file.read(MAX_LIST_BYTES))
    return info.hash(), info


async def listed(sources: Sequence[str]) -> list[bytes]:
    """The hashes of the chains that the upstreams say they serve; what they say about them is verified later."""
    found: list[bytes] = []
    for source in sources:
        try:
            chains = await (_over_grpc(source) if source.startswith("grpc") else _over_http(source))
        except CollectiveError as error:
            log.warning("%s does not say which chains it has: %s", source, worded(error))
            continue
        log.info("%s has chains %s", source, ", ".join(chain_hash.hex() for chain_hash in chains) or "none")
        found += chains
    return found


async def _over_http(url: str) -> tuple[bytes, ...]:
    http = BoundedHttp(url, timeout_s=TIMEOUT_S)
    root = url.rstrip("/")
    try:
        return parse_chains((await http.get(f"{root}/chains", MAX_LIST_BYTES)).body)
    finally:
        await http.close()


async def _over_grpc(url: str) -> tuple[bytes, ...]:
    scheme, _, address = url.partition("://")
    client = PeerClient()
    try:
        info = await client.chain_info(Peer(address, scheme == "grpcs"), Metadata(OUR_VERSION))
    finally:
        await client.close()
    return (info.hash(),)
