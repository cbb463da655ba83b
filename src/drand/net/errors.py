"""What can go wrong on a socket, and whose fault it is."""

from collective.errors import BadSetting, CollectiveError, Malformed, OutOfTurn, Unavailable
from drand.errors import DrandError


class MalformedAddress(Malformed):
    """A text that is no `host:port`, no control port and no `unix:` path."""

    hint = "write it as host:port, for instance 127.0.0.1:8080 or [::1]:8080"


class PortTaken(Unavailable):
    """Somebody else listens where we were told to listen."""

    hint = "another drand may be running; see `drand util ping`, or choose another port"


class CannotListen(BadSetting):
    """An address that is not ours, or a port or path that we may not use."""

    hint = "listen on an address of this machine, on a port above 1023, in a folder you may write to"


class BadCertificate(BadSetting):
    """A certificate, key or folder of roots that is missing, unreadable, not PEM, or does not fit its partner."""

    hint = "give a PEM certificate chain (leaf first) and its unencrypted PEM key, or use --tls-disable behind a proxy"


class PeerUnreachable(Unavailable):
    """A peer did not answer: no connection, no TLS, or no answer in time. Trying again may work."""

    hint = "check that the peer runs, that its address and port are reachable, and that both sides agree on TLS"


class PeerRefused(CollectiveError):
    """A peer answered with an error. `text` is what it said, `code` the name of the gRPC status."""

    def __init__(self, text: str, *, code: str, hint: str | None = None) -> None:
        super().__init__(text, hint=hint)
        self.text = text
        self.code = code


class MethodMissing(PeerRefused):
    """The other side does not know the call: another program or another version listens there."""

    hint = "check the address: a drand v1.5 node should be listening there"


class OtherRound(Malformed):
    """A peer answered with another round than the one it was asked for."""

    hint = "ask another node, and tell the operator of this one"


class DaemonAbsent(Unavailable):
    """Nobody listens on the control address."""

    hint = "is the daemon running? start it with `drand start`"


class RefusedByDaemon(DrandError):
    """The daemon answered a control request with an error; the message is its own text."""

    def __init__(self, text: str, *, hint: str | None = None) -> None:
        super().__init__(text, hint=hint)
        self.text = text


class TooBusy(Unavailable):
    """A bound of ours is reached: too many streams, or too many calls at once."""

    hint = "try again in a moment"


class IncompatibleVersion(OutOfTurn):
    """A caller announced a version that ours does not speak to."""

    hint = "run a 1.4 to 1.6 node, or set DISABLE_VERSION_CHECK=1 on both sides"
