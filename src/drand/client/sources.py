"""How the address of a source of beacons is written, and the source that is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from collective.clock import Clock
from collective.errors import BadSetting
from drand.client.contract import Source

Address: TypeAlias = "str | Path | Source"

_FORMS = "https://host, http://host, grpc://host:port, grpcs://host:port (TLS), or the path of a drand.sqlite"


def open_source(address: Address, *, timeout_s: float, clock: Clock | None = None) -> Source:
    """The source at an address; one that is a source already is returned. Raises BadSetting.

    Nothing is connected or opened before the first question.
    """
    if not isinstance(address, str | Path):
        return address
    text = str(address)
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("http", "https"):
        from drand.client.http_source import HttpSource

        return HttpSource(text, timeout_s=timeout_s, clock=clock)
    if separator and scheme in ("grpc", "grpcs"):
        from drand.client.grpc_source import GrpcSource

        return GrpcSource(rest, tls=scheme == "grpcs", timeout_s=timeout_s)
    if isinstance(address, Path) or text.endswith(".sqlite"):
        from drand.client.store_source import StoreSource

        return StoreSource(Path(address))
    raise BadSetting(f"{text!r} is no source of beacons", hint=f"a source is written as {_FORMS}")


def open_sources(
    addresses: Sequence[Address] | Path, *, timeout_s: float, clock: Clock | None = None
) -> dict[str, Source]:
    """All sources by name, in order; raises BadSetting for none at all or for one given twice.

    An address by itself is one source: for Python a text is also a sequence of texts, so no type checker would object.
    """
    if isinstance(addresses, str | Path):
        addresses = [addresses]
    sources = [open_source(address, timeout_s=timeout_s, clock=clock) for address in addresses]
    if not sources:
        raise BadSetting("no source of beacons is given", hint=f"give one or more: {_FORMS}")
    named = {source.name: source for source in sources}
    if len(named) != len(sources):
        raise BadSetting("a source is given twice")
    return named
