"""Entry point of the `drand` command: a fast path for --version, then a group that imports a command when it runs."""

import os
import sys

from drand.cli.version import VERSION_LINE

INTERRUPTED = 130  # drand.errors.EXIT_INTERRUPTED, without importing it


def open_standard_streams() -> None:
    """Put the null device where the caller closed one of the three standard streams (`<&-`, some supervisors).

    Else whatever is opened first gets its number: libuv aborts over a socket below 3, a C library writes into a file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))  # the lowest free number is this one's


def main() -> None:
    """Run the command line and exit with one of the codes in drand.errors."""
    open_standard_streams()
    if sys.argv[1:] in (["--version"], ["-v"]):
        try:
            print(VERSION_LINE, flush=True)
        except OSError as error:  # a full disk, or a reader that left
            sys.stderr.write(f"error: {error.strerror}\n")
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        return
    try:
        from drand.cli.root import run

        code = run()
    except KeyboardInterrupt:  # in the first tenth of a second; later on, `run` hears of it
        sys.stderr.write("interrupted\n")
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
