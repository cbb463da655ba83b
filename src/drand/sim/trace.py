"""Events as short words for the world's trace: enough to tell two runs apart, cheap enough for every event."""

from collective.machine import Due, Restarted
from drand.model.bundles import DealBundle, JustificationBundle, ResponseBundle
from drand.model.packets import DkgPacket, Message, PartialPacket
from drand.protocol.steps import (
    Answered,
    BeaconsChecked,
    BeaconsReceived,
    CallFailed,
    Event,
    Received,
    StreamEnded,
    VaultReplied,
)

_KINDS = {DealBundle: "deal", ResponseBundle: "response", JustificationBundle: "justification"}


def event_tag(event: Event) -> str:
    """One event in a few words; different contents of one kind show where they matter: signatures and bundles."""
    match event:
        case Due(alarm):
            return f"due {alarm}"
        case Received(sender, message):
            return f"hears {sender} {message_tag(message)}"
        case VaultReplied(reply):
            return f"vault {type(reply).__name__}"
        case Answered(call_id) | CallFailed(call_id) | StreamEnded(call_id):
            return f"{type(event).__name__} {call_id}"
        case BeaconsReceived(call_id, beacons):
            return f"beacons {call_id} {len(beacons)}"
        case BeaconsChecked(check_id, bad):
            return f"checked {check_id} {sorted(bad)}"
        case Restarted(records):
            return f"starts with {len(records)} records"
        case _:
            return type(event).__name__


def message_tag(message: Message) -> str:
    """One message in a few words."""
    match message:
        case PartialPacket(round_, _, partial):
            return f"partial {round_} {partial.hex()}"
        case DkgPacket(bundle):
            return f"{_KINDS[type(bundle)]} {bundle.author} {bundle.signature.hex()}"
        case _:
            return type(message).__name__
