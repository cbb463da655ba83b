"""drand's own errors, and the exit codes that the command line turns them into.

0  success
1  the operation failed (the message says why; the hint, what to try)
2  the command was used wrongly (unknown flag, missing argument)
3  too early: the round asked for does not exist yet
4  verification failed: a beacon, a chain or a peer's answer is not what it claims
129  ended by SIGHUP: its terminal was closed
130  interrupted by the operator
143  ended by SIGTERM
"""

from collective.errors import CollectiveError, InvalidSignature, Malformed, OutOfTurn

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_TOO_EARLY = 3
EXIT_INVALID = 4
EXIT_HUNG_UP = 129
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class DrandError(CollectiveError):
    """Raised on purpose by drand where none of the family's branches says it better."""


class UnknownScheme(Malformed):
    """A scheme name that this version does not know."""

    hint = "see `drand util list-schemes`"


class InvalidBeacon(InvalidSignature):
    """A beacon whose signature does not verify under its chain's key, or that does not follow its predecessor."""

    hint = "use it for nothing, and ask another source for the round"


class InvalidGroup(Malformed):
    """A group file or packet whose fields contradict each other."""


class InvalidChainInfo(Malformed):
    """Chain information whose fields do not have the chain hash that it claims."""

    hint = "take the chain information from a source you trust, and compare its chain hash with the published one"


class InvalidRandomness(Malformed):
    """A beacon that came with a random value which is not the SHA-256 of its signature."""

    hint = "take no server's word for it: randomness is the SHA-256 of a signature that verifies; ask another source"


class UnknownBeacon(OutOfTurn):
    """A beacon id or chain hash that this daemon does not run."""

    hint = "list what runs here with `drand util status --list-ids`"


class BeaconNotFound(OutOfTurn):
    """The round asked for is not stored (yet)."""


class TooEarly(BeaconNotFound):
    """A round whose time has not come."""


def exit_code(error: CollectiveError) -> int:
    """The exit code for an error that ends a command."""
    if isinstance(error, InvalidSignature | InvalidChainInfo | InvalidRandomness):
        return EXIT_INVALID
    if isinstance(error, TooEarly):
        return EXIT_TOO_EARLY
    return EXIT_FAILURE
