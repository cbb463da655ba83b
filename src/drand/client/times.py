"""Rounds and moments. Everything else in the client asks here."""

from datetime import UTC, datetime
from math import isfinite
from operator import index

from collective.errors import BadSetting
from drand.client.errors import BeforeGenesis
from drand.model.chain import ChainInfo, Round


def unix_s(when: datetime | float) -> float:
    """Unix seconds of a moment; raises BadSetting for a datetime without a time zone, and for no number."""
    if not isinstance(when, datetime):
        if not isfinite(when):
            raise BadSetting(f"{when} names no moment")
        return float(when)
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
    if index(round_) < 1:
        raise BadSetting(f"rounds begin at 1, not {round_}")
    try:
        return datetime.fromtimestamp(chain.schedule.due_unix_s(round_), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadSetting(f"round {round_} is due after the year 9999") from error
