"""Entry point of the `drand` command: a fast path for --version, then a group that imports a command when it runs."""

import sys

VERSION_LINE = "drand 1.5.11 (pydrand)"


def main() -> None:
    """Run the command line and exit with one of the codes in drand.errors."""
    if sys.argv[1:] in (["--version"], ["-v"]):
        sys.stdout.write(VERSION_LINE + "\n")
        return
    from drand.cli.root import run

    sys.exit(run())


if __name__ == "__main__":
    main()
