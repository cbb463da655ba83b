"""What the client library raises: who is at fault, how, and what to try. Every class descends from `ClientError`.

ClientError
  SourceFault               one source; `source` names it
    SourceLied              what it said is provably false
      ForgedBeacon          a signature that is not the group's
      WrongRandomness       a random value that is not the hash of its signature
      WrongRound            another round than the one asked for
      WrongChain            chain information of another chain, an altered key, or a scheme that no beacon fits
      BrokenChain           a chained beacon that does not build on the one before it
    SourceConfused          what it said is no answer of drand's
      NotDrand              a web page
      AnswerTooLarge        more bytes than any answer has
      MalformedAnswer       bytes that do not decode, or a refusal that drand does not give
    SourceUnavailable       it gave no answer
      SourceUnreachable     no connection
      SourceTimeout         no answer in time
      RateLimited           it asks us to come later; `retry_after_s`
    SourceBehind            its latest round is old; `beacon` is that round, verified
    RoundMissing            it does not have the round (yet)
    ChainNotServed          it does not serve the chain
  RoundTooEarly             the round's time has not come; `round`, `due_unix_s`
  BeforeGenesis             a moment before the chain's first round
  ClockSuspect              this machine's clock is wrong; `off_by_s`
  NoSourceAnswered          every source failed; `failures` says how each did
    NoHonestSource          and at least one of them lied
    ChainStale              and the freshest beacon of all is old; `freshest`
      ChainRetired          as it is known to be: the chain was retired
  InvalidReceipt            a draw receipt that does not follow from its list and its beacon
  ClientClosed              the client was closed
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from collective.errors import BadSetting, InvalidSignature, Malformed, Unavailable
from drand.errors import (
    BeaconNotFound,
    DrandError,
    InvalidBeacon,
    InvalidChainInfo,
    InvalidRandomness,
    TooEarly,
    UnknownBeacon,
)
from drand.model.spans import shown_span

if TYPE_CHECKING:
    from drand.client.beacon import VerifiedBeacon


class ClientError(DrandError):
    """Anything that the client library raises on purpose."""


class SourceFault(ClientError):
    """One source did not give what was asked for. `source` is its name, as given to the client."""

    def __init__(self, source: str, what: str, *, hint: str | None = None) -> None:
        super().__init__(f"{source}: {what}", hint=hint)
        self.source = source
        self.what = what


# ---------------------------------------------------------------- lies


class SourceLied(SourceFault, InvalidSignature):
    """A source said something provably false: it is broken, or it cheats. It is not asked again for a while."""

    hint = "stop using this source, or tell its operator"


class ForgedBeacon(SourceLied, InvalidBeacon):
    """A beacon whose signature is not that of the chain's group."""


class WrongRandomness(SourceLied, InvalidRandomness):
    """A beacon with a random value that is not the SHA-256 of its signature."""


class WrongRound(SourceLied):
    """Another round than the one that was asked for."""


class WrongChain(SourceLied, InvalidChainInfo):
    """Chain information that does not have the chain hash asked for, or whose scheme does not fit its beacons."""

    hint = "check the chain hash that you gave; if it is right, stop using this source"


class BrokenChain(SourceLied, InvalidBeacon):
    """A chained beacon whose previous signature is not that of the round before."""


# ---------------------------------------------------------------- confusion


class SourceConfused(SourceFault, Malformed):
    """An answer that no drand server gives: another service listens there, or something stands in between."""

    hint = "check the address: a drand node or relay should be listening there"


class NotDrand(SourceConfused):
    """A web page instead of JSON: a login page, an error page of a proxy, or another site."""


class AnswerTooLarge(SourceConfused):
    """More bytes than any answer of this kind has. Reading stopped at the bound."""


class MalformedAnswer(SourceConfused):
    """Bytes that do not decode, or a status that drand does not use."""


# ---------------------------------------------------------------- silence


class SourceUnavailable(SourceFault, Unavailable):
    """A source gave no answer; trying again may work."""


class SourceUnreachable(SourceUnavailable):
    """No connection: no such host, refused, no TLS; or the server reports a failure of its own."""

    hint = "check the address and the network"


def source_closed(source: str) -> SourceUnreachable:
    """The error for a question to a source that was closed already."""
    return SourceUnreachable(source, "was closed, as a client does with its sources", hint="make one for each client")


class SourceTimeout(SourceUnavailable):
    """No complete answer in time."""

    hint = "try again, or give more sources"


class RateLimited(SourceUnavailable):
    """The source has answered enough for now. `retry_after_s` is what it asks for, None when it does not say."""

    hint = "ask less often, or give more sources"

    def __init__(self, source: str, what: str, *, retry_after_s: float | None = None, hint: str | None = None) -> None:
        super().__init__(source, what, hint=hint)
        self.retry_after_s = retry_after_s


# ---------------------------------------------------------------- nobody's lie


class SourceBehind(SourceFault):
    """The latest round of a source is old. `beacon` is that round; it verifies."""

    hint = "the source lags, or the chain halted: ask another source"

    def __init__(self, source: str, what: str, beacon: "VerifiedBeacon") -> None:
        super().__init__(source, what)
        self.beacon = beacon


class RoundMissing(SourceFault, BeaconNotFound):
    """A source does not have the round: it lags, it began later, or the round failed."""

    hint = "ask again in a moment, or give more sources"


class ChainNotServed(SourceFault, UnknownBeacon):
    """A source does not serve the chain that was asked for."""

    hint = "check the chain hash; `/chains` of the source lists those it serves"


# ---------------------------------------------------------------- no single source


class RoundTooEarly(ClientError, TooEarly):
    """A round whose time has not come; nobody was asked. `due_unix_s` is when to ask."""

    hint = "ask again then, or use `watch()`"

    def __init__(self, round_: int, due_unix_s: int, now: float) -> None:
        super().__init__(f"round {round_} does not exist yet: it is due in {shown_span(due_unix_s - now)}")
        self.round = round_
        self.due_unix_s = due_unix_s


class BeforeGenesis(ClientError, BadSetting):
    """A moment before the chain's first round."""

    hint = "ask for a moment from the chain's beginning on; `info()` has it"


class ClockSuspect(ClientError, BadSetting):
    """This machine's clock is wrong. `off_by_s` is how far it is ahead (below zero: behind)."""

    hint = "set the clock (for instance with NTP): which round is the latest depends on it"

    def __init__(self, what: str, off_by_s: float) -> None:
        super().__init__(what)
        self.off_by_s = off_by_s


class NoSourceAnswered(ClientError, Unavailable):
    """Every source failed. `failures` has the error of each, by its name."""

    def __init__(self, what: str, failures: Mapping[str, ClientError]) -> None:
        listed = "; ".join(str(error) for error in failures.values()) or "nobody was left to be asked"
        super().__init__(f"{what}: {listed}")
        self.failures = dict(failures)


class NoHonestSource(NoSourceAnswered, InvalidSignature):
    """Every source failed, and at least one of them lied."""

    hint = "give a source that you trust"


class ChainStale(NoSourceAnswered):
    """No source has a recent round: the chain halted, was retired, or all sources lag. `freshest` verifies."""

    hint = "past rounds are still good: ask for one by its number"

    def __init__(self, what: str, failures: Mapping[str, ClientError], freshest: "VerifiedBeacon") -> None:
        super().__init__(what, failures)
        self.freshest = freshest


class ChainRetired(ChainStale):
    """The chain was retired by its operators; its past rounds still verify."""


class InvalidReceipt(ClientError, InvalidSignature):
    """A draw receipt whose winners do not follow from its list and its beacon."""

    hint = "believe none of it; ask who held the draw for the list and for what was announced"


class ClientClosed(ClientError):
    """The client was closed before the call, or while it was under way."""

    hint = "make a new client, or close this one later"
