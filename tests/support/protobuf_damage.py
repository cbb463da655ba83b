"""Protobuf messages with values that nobody sends: whole messages whose fields lie, not bytes that fail to parse."""

from random import Random

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

MOST_REPEATED = 1500  # above MAX_GROUP_SIZE
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (0, 1, -1, 2**31 - 1, -(2**31)),
    FieldDescriptor.CPPTYPE_INT64: (0, 1, -1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2**16, 2**31, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 1, 2**32, 2**63, 2**64 - 1),
}
_TEXTS = (
    "",
    "\0",
    "default\0",
    "../../etc/passwd",
    "127.0.0.1:0",
    "[::1]:99999",
    "é\u202e\U0001f511",
    "a" * 5000,
    "%s%n{0}",
    "pedersen-bls-chained",
)


def damaged_message(original: Message, random: Random) -> bytes:
    """The encoding of `original` after one to three of its fields, at any depth, were given other values."""
    message = type(original)()
    message.CopyFrom(original)
    for _ in range(random.randint(1, 3)):
        _damage(message, random)
    return message.SerializeToString()


def _damage(message: Message, random: Random) -> None:
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return
    field = random.choice(fields)
    if field.is_repeated:
        _damage_repeated(message, field, random)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        if random.random() < 0.1:
            message.ClearField(field.name)
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
            _damage(inner, random)
    else:
        setattr(message, field.name, _value(field, getattr(message, field.name), random))


def _damage_repeated(message: Message, field: FieldDescriptor, random: Random) -> None:
    values = getattr(message, field.name)
    choice = random.random()
    if choice < 0.15:
        message.ClearField(field.name)
    elif choice < 0.3 and len(values):
        one = values[random.randrange(len(values))]
        values.extend([one] * random.choice((1, 1, MOST_REPEATED)))
    elif choice < 0.4 and len(values) > 1:
        del values[random.randrange(len(values))]
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        _damage(values[random.randrange(len(values))] if len(values) else values.add(), random)
    elif len(values):
        at = random.randrange(len(values))
        values[at] = _value(field, values[at], random)
    else:
        values.append(_value(field, b"", random))


def _value(field: FieldDescriptor, old: object, random: Random) -> object:
    if field.cpp_type in _INTEGERS:
        return random.choice(_INTEGERS[field.cpp_type])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return not old
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice(_TEXTS)
    return _bytes(old if isinstance(old, bytes) else b"", random)


def _bytes(old: bytes, random: Random) -> bytes:
    match random.randrange(6):
        case 0:
            return b""
        case 1:
            return old[: random.randint(0, len(old))]
        case 2:
            return old + random.randbytes(random.choice((1, 2, 5000)))
        case 3:
            return bytes(len(old))
        case 4:
            return b"\xff" * len(old)
        case _:
            changed = bytearray(old)
            if changed:
                changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
            return bytes(changed)
