"""The files that a node shares with the Go implementation: key pair, share and group, byte for byte.

Writing gives exactly the bytes of drand v1.5.11 (BurntSushi/toml 1.3); reading takes what it takes, old files included,
and raises Malformed (or a child of it) that names the file's problem and never its secrets.
Source: drand v1.5.11, key/keys.go and key/group.go; vectors keypair/*, share-file/*, group/*, group-file/*.
"""

from collective.errors import Malformed
from collective.secret import SecretScalar
from drand.errors import InvalidGroup
from drand.model.chain import Index, canonical_beacon_id
from drand.model.group import MAX_GROUP_SIZE, Group, Identity, Node, indexed
from drand.model.schemes import DEFAULT_SCHEME, Scheme, scheme_named, scheme_or_default
from drand.model.share import Share
from drand.wire.go_duration import format_duration, parse_duration
from drand.wire.groups import MAX_INDEX, checked_group, decode_coefficients
from drand.wire.identities import checked_identity
from drand.wire.protobuf import at_most
from drand.wire.toml_text import Table, quoted, quoted_list


def encode_key_file(secret: SecretScalar, scheme: Scheme) -> bytes:
    """`drand_id.private`. Secret: write it with mode 0600 only."""
    return _lines(f"Key = {quoted(secret.to_bytes().hex())}", f"SchemeName = {quoted(scheme.name)}")


def decode_key_file(data: bytes, scheme: Scheme | None = None) -> tuple[SecretScalar, Scheme]:
    """The long-term secret in a `drand_id.private`, and its scheme.

    scheme  the group's, where there is one: a file that names none or the default one is read in it (v1.5.11, Load)
    raises  UnknownScheme; Malformed for another scheme, hexadecimal, a scalar that is zero or not below the order
    """
    file = Table.parse(data, "private key file")
    used = _key_scheme(file, scheme)
    return _scalar(file, "Key", used), used


def encode_identity_file(identity: Identity) -> bytes:
    """`drand_id.public`."""
    return _lines(*_identity_lines(identity))


def decode_identity_file(data: bytes, scheme: Scheme | None = None) -> Identity:
    """The identity in a `drand_id.public`; its self-signature is not checked, it may be missing (b"").

    scheme  as in `decode_key_file`
    raises  UnknownScheme; Malformed; MalformedPoint with a hint at the scheme
    """
    file = Table.parse(data, "public key file")
    return _identity(file, _key_scheme(file, scheme))


def encode_share_file(share: Share) -> bytes:
    """`dist_key.private`. Secret: write it with mode 0600 only."""
    return _lines(
        f"Index = {share.index}",
        f"Share = {quoted(share.secret.to_bytes().hex())}",
        f"Commits = {quoted_list(commit.hex() for commit in share.commits)}",
        f"SchemeName = {quoted(share.scheme.name)}",
    )


def decode_share_file(data: bytes, scheme: Scheme | None = None) -> Share:
    """The share in a `dist_key.private`. `PrivatePoly` of old files is ignored.

    scheme  the group's; it stands in where the file names none
    raises  UnknownScheme; Malformed when the file names another scheme than `scheme` or none at all is known, for an
            index that no partial can carry, for commits and scalar that do not decode
    """
    file = Table.parse(data, "share file")
    name = file.text("SchemeName")
    if scheme is None:
        scheme = scheme_named(name)
    elif name and name != scheme.name:
        raise Malformed(f"mismatch in scheme name in Share FromTOML: '{name}'!='{scheme.name}'")
    index = file.integer("Index")
    if not 0 <= index <= MAX_INDEX:
        raise Malformed(f"share file: index {index}; partial signatures can carry 0 to {MAX_INDEX}")
    commits = file.hexadecimals("Commits")
    if not 0 < len(commits) <= MAX_GROUP_SIZE:
        raise Malformed(f"share file: {len(commits)} commits; one to {MAX_GROUP_SIZE} expected")
    return Share(Index(index), _scalar(file, "Share", scheme), decode_coefficients(commits, scheme), scheme)


def encode_group_file(group: Group) -> bytes:
    """`drand_group.toml`. The beacon id is written as it stands; before the ceremony there is no [PublicKey]."""
    lines = [
        f"Threshold = {group.threshold}",
        f"Period = {quoted(format_duration(group.period_ns))}",
        f"CatchupPeriod = {quoted(format_duration(group.catchup_period_ns))}",
        f"GenesisTime = {group.genesis_unix_s}",
        f"TransitionTime = {group.transition_unix_s}",
        f"GenesisSeed = {quoted(group.genesis_seed.hex())}",
        f"SchemeID = {quoted(group.scheme.name)}",
        f"ID = {quoted(group.beacon_id)}",
    ]
    for node in group.nodes:
        lines += ["", "[[Nodes]]"]
        lines += [f"  {line}" for line in (*_identity_lines(node.identity), f"Index = {node.index}")]
    if group.public_key:
        coefficients = quoted_list(point.hex() for point in group.public_key)
        lines += ["", "[PublicKey]", f"  Coefficients = {coefficients}"]
    return _lines(*lines)


def decode_group_file(data: bytes) -> Group:
    """The group in a `drand_group.toml`, old ones included (no scheme, id, catch-up period or self-signatures).

    Files of April 2020 number no node: the order of the keys does, as in every ceremony (v1.5.11 takes them all for
    node 0). A list of candidates without a public key may lack its genesis time; Group.check refuses it.
    raises  UnknownScheme; InvalidGroup when fields contradict each other; Malformed, naming the node, for the rest
    """
    file = Table.parse(data, "group file")
    scheme = scheme_or_default(file.text("SchemeID"))
    entries = file.tables("Nodes")
    at_most(entries, MAX_GROUP_SIZE, "group file: nodes")
    identities = [_identity(entry, scheme) for entry in entries]
    if any(entry.has("Index") for entry in entries):
        numbers = [Index(entry.integer("Index")) for entry in entries]
        nodes = tuple(sorted(map(Node, identities, numbers), key=lambda node: node.index))
    else:
        nodes = indexed(identities)
    threshold = file.integer("Threshold")
    if threshold > len(nodes):
        raise InvalidGroup(f"group file threshold greater than number of participants: {threshold} > {len(nodes)}")
    coefficients = file.table("PublicKey").hexadecimals("Coefficients")
    at_most(coefficients, MAX_GROUP_SIZE, "group file: coefficients")
    return checked_group(
        Group(
            nodes=nodes,
            threshold=threshold,
            period_ns=_duration(file, "Period", ""),
            catchup_period_ns=_duration(file, "CatchupPeriod", "0"),
            genesis_unix_s=file.integer("GenesisTime"),
            transition_unix_s=file.integer("TransitionTime"),
            genesis_seed=file.hexadecimal("GenesisSeed"),
            public_key=decode_coefficients(coefficients, scheme),
            scheme=scheme,
            beacon_id=canonical_beacon_id(file.text("ID")),
        ),
        dated=bool(coefficients),
    )


def _duration(file: Table, name: str, where_missing: str) -> int:
    try:
        return parse_duration(file.text(name) or where_missing)
    except Malformed as error:
        raise Malformed(f"{file.where}: {name}: {error}", hint=error.advice) from error


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _identity_lines(identity: Identity) -> tuple[str, ...]:
    return (
        f"Address = {quoted(identity.address)}",
        f"Key = {quoted(identity.key.hex())}",
        f"TLS = {'true' if identity.tls else 'false'}",
        f"Signature = {quoted(identity.signature.hex())}",
        f"SchemeName = {quoted(identity.scheme.name)}",
    )


def _identity(table: Table, scheme: Scheme) -> Identity:
    try:
        return checked_identity(
            table.text("Address"), table.hexadecimal("Key"), table.flag("TLS"), table.hexadecimal("Signature"), scheme
        )
    except Malformed as error:
        if str(error).startswith(table.where):
            raise
        raise type(error)(f"{table.where}: {error}", hint=error.advice) from error


def _key_scheme(file: Table, wanted: Scheme | None) -> Scheme:
    named = scheme_or_default(file.text("SchemeName"))
    if wanted is None or named == wanted:
        return named
    if named.name != DEFAULT_SCHEME:
        raise Malformed(
            f"{file.where}: its scheme is {named.name}, {wanted.name} is needed",
            hint=f"generate a key pair with `drand generate-keypair --scheme {wanted.name}`",
        )
    return wanted


def _scalar(file: Table, name: str, scheme: Scheme) -> SecretScalar:
    try:
        return SecretScalar.from_bytes(file.hexadecimal(name), scheme.key_group.order)
    except Malformed as error:
        if str(error).startswith(file.where):
            raise
        raise type(error)(f"{file.where}: {name}: {error}") from None
