"""Time locks: files in the age format that open when a drand chain reaches a round. Compatible with tlock.

    recipient = TlockRecipient(drand.client.public_chain("quicknet"), round_)
    sealed = encrypt_bytes(b"a bid", [recipient])
    ...
    encrypt_stream(reader, writer, [recipient, X25519Recipient.parse("age1...")], armor=True)
    decrypt_stream(reader, writer, [TlockIdentity(chain, source)])      # source.get(round) -> Beacon

docs/howto/timelock.md shows more; docs/spec/tlock-stanza.md gives the bytes.
"""

from drand.errors import TooEarly
from drand.timelock.asynchronous import (
    AsyncReader,
    AsyncWriter,
    decrypt_bytes_async,
    decrypt_stream_async,
    encrypt_bytes_async,
    encrypt_stream_async,
)
from drand.timelock.errors import (
    DamagedArmor,
    DamagedHeader,
    DamagedPayload,
    ForgedHeader,
    MalformedKey,
    NoIdentityMatched,
    NotAnAgeFile,
    StillLocked,
    UnsuitableChain,
    WrongChain,
)
from drand.timelock.inspection import Inspection, Lock, inspect
from drand.timelock.recipients import AsyncIdentity, Identity, Recipient
from drand.timelock.streams import Reader, Writer, decrypt_bytes, decrypt_stream, encrypt_bytes, encrypt_stream
from drand.timelock.tlock import AsyncBeaconSource, AsyncTlockIdentity, BeaconSource, TlockIdentity, TlockRecipient
from drand.timelock.x25519 import X25519Identity, X25519Recipient, read_identities

__all__ = [
    "AsyncBeaconSource",
    "AsyncIdentity",
    "AsyncReader",
    "AsyncTlockIdentity",
    "AsyncWriter",
    "BeaconSource",
    "DamagedArmor",
    "DamagedHeader",
    "DamagedPayload",
    "ForgedHeader",
    "Identity",
    "Inspection",
    "Lock",
    "MalformedKey",
    "NoIdentityMatched",
    "NotAnAgeFile",
    "Reader",
    "Recipient",
    "StillLocked",
    "TlockIdentity",
    "TlockRecipient",
    "TooEarly",
    "UnsuitableChain",
    "Writer",
    "WrongChain",
    "X25519Identity",
    "X25519Recipient",
    "decrypt_bytes",
    "decrypt_bytes_async",
    "decrypt_stream",
    "decrypt_stream_async",
    "encrypt_bytes",
    "encrypt_bytes_async",
    "encrypt_stream",
    "encrypt_stream_async",
    "inspect",
    "read_identities",
]
