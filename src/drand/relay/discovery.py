"""Which chains a relay serves: those it is told, or all that its upstreams have."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collective.errors import BadSetting, CollectiveError, Malformed
from drand.client.bounded_http import BoundedHttp
from drand.client.chains import INFO_HINT, PUBLIC_CHAINS, public_chain
from drand.client.http_source import require_host, without_credentials
from drand.errors import InvalidChainInfo
from drand.model.chain import DEFAULT_BEACON_ID, ChainInfo, canonical_beacon_id
from drand.model.group import Peer
from drand.model.packets import OUR_VERSION, Metadata
from drand.net.errors import MethodMissing, PeerRefused, PeerUnreachable
from drand.net.peer_client import PeerClient
from drand.relay.chains import worded
from drand.relay.settings import RelaySettings
from drand.store.sqlite import open_reader
from drand.wire.http_json import parse_chain_info, parse_chains

MAX_LIST_BYTES = 1 << 20
MAX_CHAINS = 256  # of one relay; each has a client and a thousand rounds in memory
TIMEOUT_S = 10.0
KNOWN_IDS = tuple(dict.fromkeys((DEFAULT_BEACON_ID, *PUBLIC_CHAINS)))

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


def default_of(infos: Sequence[ChainInfo]) -> ChainInfo:
    """The chain for requests that name none, where the operator has named none: the one with the default beacon id.

    Upstreams list their chains by hash, so the first one is anybody's; it is taken where none has that id.
    """
    return next((one for one in infos if canonical_beacon_id(one.beacon_id) == DEFAULT_BEACON_ID), infos[0])


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
    try:
        with path.open("rb") as file:
            info = parse_chain_info(file.read(MAX_LIST_BYTES))
    except OSError as error:
        raise BadSetting(f"cannot read {path}: {error.strerror}", hint=INFO_HINT) from error
    except Malformed as error:
        raise type(error)(f"{path}: {error}", hint=error.advice or INFO_HINT) from error
    return info.hash(), info


async def listed(sources: Sequence[str]) -> list[bytes]:
    """The hashes of the chains that the upstreams say they serve; what they say about them is verified later."""
    found: dict[bytes, None] = {}
    for source in sources:
        shown = without_credentials(source)
        try:
            chains = await (_over_grpc(source) if source.startswith("grpc") else _over_http(source))
        except CollectiveError as error:
            log.warning("%s does not say which chains it has: %s", shown, worded(error))
            continue
        log.info("%s has chains %s", shown, ", ".join(chain_hash.hex() for chain_hash in chains) or "none")
        found |= dict.fromkeys(chains)
    if len(found) > MAX_CHAINS:
        raise BadSetting(
            f"the upstreams list {len(found)} chains, more than the {MAX_CHAINS} of one relay",
            hint="name the chains with --chain",
        )
    return list(found)


async def _over_http(url: str) -> tuple[bytes, ...]:
    root = url.rstrip("/")
    require_host(root)
    http = BoundedHttp(without_credentials(root), timeout_s=TIMEOUT_S)
    try:
        return parse_chains((await http.get(f"{root}/chains", MAX_LIST_BYTES)).body)
    finally:
        await http.close()


async def _over_grpc(url: str) -> tuple[bytes, ...]:
    """What a node has: v2 nodes list it; of a v1.5 node, which does not, the chains whose beacon ids are known."""
    scheme, _, address = url.partition("://")
    peer = Peer(address, scheme == "grpcs")
    client = PeerClient()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            try:
                names = await client.beacon_ids(peer)
            except MethodMissing:
                names = KNOWN_IDS
            found = [info.hash() for name in names if (info := await _asked(client, peer, name)) is not None]
    except TimeoutError:
        raise PeerUnreachable(f"{peer.address} does not answer within {TIMEOUT_S:g} s") from None
    finally:
        await client.close()
    return tuple(found)


async def _asked(client: PeerClient, peer: Peer, beacon_id: str) -> ChainInfo | None:
    """The chain of this beacon id, None when the node does not serve it."""
    try:
        return await client.chain_info(peer, Metadata(OUR_VERSION, beacon_id))
    except PeerRefused as error:
        log.debug("%s has no chain %r: %s", peer.address, beacon_id, error)
    except (Malformed, InvalidChainInfo) as error:
        log.warning("%s, chain %r: %s", peer.address, beacon_id, worded(error))
    return None
