"""Entry point of the `drand` command: a fast path for --version, then a group that imports a command when it runs."""

import os
import sys

VERSION_LINE = "drand 1.5.11 (pydrand)"


def main() -> None:
    """Run the command line and exit with one of the codes in drand.errors."""
    if sys.argv[1:] in (["--version"], ["-v"]):
        try:
            print(VERSION_LINE, flush=True)
        except OSError as error:  # a full disk, or a reader that left
            sys.stderr.write(f"error: {error.strerror}\n")
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        return
    from drand.cli.root import run

    sys.exit(run())


if __name__ == "__main__":
    main()
