"""How the address of a source of beacons is written, and the source that is there."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from collective.clock import Clock
from collective.errors import BadSetting
from drand.client.contract import Source
from drand.net.errors import MalformedAddress

Address: TypeAlias = "str | Path | Source"

_METHODS = ("info", "beacon", "batches", "events", "close")
_FORMS = "https://host, http://host, grpc://host:port, grpcs://host:port (TLS), or the path of a drand.sqlite"


def open_source(address: Address, *, timeout_s: float, clock: Clock | None = None) -> Source:
    """The source at an address; one that is a source already is returned. Raises BadSetting.

    Nothing is connected or opened before the first question.
    """
    if not isinstance(address, str | Path):
        return _require_source(address)
    text = str(address)
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("http", "https"):
        from drand.client.http_source import HttpSource

        return HttpSource(text, timeout_s=timeout_s, clock=clock)
    if separator and scheme in ("grpc", "grpcs"):
        from drand.client.grpc_source import GrpcSource

        try:
            return GrpcSource(rest, tls=scheme == "grpcs", timeout_s=timeout_s)
        except MalformedAddress as error:
            raise BadSetting(str(error), hint=error.advice) from error
    if isinstance(address, Path) or text.endswith(".sqlite"):
        from drand.client.store_source import StoreSource

        return StoreSource(Path(address))
    from drand.client.http_source import without_credentials

    raise BadSetting(f"{without_credentials(text)!r} is no source of beacons", hint=f"a source is written as {_FORMS}")


def _require_source(given: Source) -> Source:
    """What is no address must do what a source does; raises BadSetting."""
    missing = [name for name in _METHODS if not callable(getattr(given, name, None))]
    if not isinstance(getattr(given, "name", None), str):
        missing.insert(0, "name")
    if missing:
        raise BadSetting(
            f"{given!r} is no source of beacons: it has no {', '.join(missing)}",
            hint=f"a source is written as {_FORMS}; or it is an object as drand.client.Source describes",
        )
    return given


def open_sources(
    addresses: Sequence[Address] | Path, *, timeout_s: float, clock: Clock | None = None
) -> dict[str, Source]:
    """All sources by name, in order; raises BadSetting for none at all or for one given twice.

    An address by itself is one source: for Python a text is also a sequence of texts, so no type checker would object.
    """
    if isinstance(addresses, str | Path):
        addresses = [addresses]
    if not isinstance(addresses, Iterable):
        raise BadSetting(f"{addresses!r} is no list of sources", hint=f"give one or more: {_FORMS}")
    sources = [open_source(address, timeout_s=timeout_s, clock=clock) for address in addresses]
    if not sources:
        raise BadSetting("no source of beacons is given", hint=f"give one or more: {_FORMS}")
    named = {source.name: source for source in sources}
    if len(named) != len(sources):
        raise BadSetting("a source is given twice")
    return named
