"""Entry point of the `drand` command."""


def main() -> int:
    """Replaced by the command-line work of this issue."""
    return 0
