"""Rounds, moments and spans of time, as people give them. Everything else in the client asks here."""

from datetime import UTC, datetime
from math import inf, isfinite, nan
from numbers import Real
from operator import index

from collective.errors import BadSetting
from drand.client.errors import BeforeGenesis
from drand.model.chain import ChainInfo, Round


def whole_round(round_: int) -> int:
    """A round as an int, also of a type that stands for one; raises BadSetting for anything else."""
    try:
        return index(round_)
    except TypeError as error:
        raise BadSetting(f"a round is a whole number, {round_!r} is not") from error


def require_span(**spans_s: float) -> None:
    """Raise BadSetting for an argument that is no number of seconds above zero that ends some time."""
    for name, span_s in spans_s.items():
        if not isinstance(span_s, Real) or not 0 < span_s < inf:
            raise BadSetting(f"{name} is a number of seconds, above zero and not infinite; {span_s!r} is none")


def unix_s(when: datetime | float) -> float:
    """Unix seconds of a moment; raises BadSetting for a datetime without a time zone, and for no number."""
    if not isinstance(when, datetime):
        try:
            moment = float(when) if not isinstance(when, str | bytes) else nan
        except (TypeError, OverflowError):
            moment = nan
        if not isfinite(moment):
            raise BadSetting(
                f"{when!r} names no moment", hint="give an aware datetime, such as datetime.now(UTC), or unix seconds"
            )
        return moment
    if when.tzinfo is None:
        raise BadSetting(
            "a datetime without a time zone names no moment", hint="use datetime.now(UTC) or .astimezone()"
        )
    return when.timestamp()


def round_at(chain: ChainInfo, when: datetime | float) -> Round:
    """The latest round that was due at `when`; raises BeforeGenesis when there was none yet.

    Source: drand v1.5.11, chain/time.go, CurrentRound, which answers 1 before genesis.
    """
    moment = unix_s(when)
    if moment < chain.genesis_unix_s:
        raise BeforeGenesis(f"the chain began at {time_of(chain, Round(1)).isoformat()}")
    return chain.schedule.current_round(moment)


def time_of(chain: ChainInfo, round_: int) -> datetime:
    """When `round_` is due, in UTC; raises BadSetting for rounds below 1 and beyond the year 9999."""
    wanted = whole_round(round_)
    if wanted < 1:
        raise BadSetting(f"rounds begin at 1, not {wanted}")
    try:
        return datetime.fromtimestamp(chain.schedule.due_unix_s(Round(wanted)), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadSetting(f"round {round_} is due after the year 9999") from error
