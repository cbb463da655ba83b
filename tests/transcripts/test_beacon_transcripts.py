"""Every transcript of a chain, told again, reads as it is written; `--rewrite-transcripts` writes them anew."""

from pathlib import Path

import pytest

from tests.transcripts.beacon_script import SEPARATOR, Script

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.glob("beacon_*.txt")), ids=lambda path: path.stem)
def test_the_chain_reads_as_it_is_written(path: Path, request: pytest.FixtureRequest) -> None:
    lines = path.read_text().splitlines()
    head = lines[: lines.index(SEPARATOR)] if SEPARATOR in lines else lines
    told = [*head, SEPARATOR, *Script(head).run()]
    if request.config.getoption("--rewrite-transcripts"):
        path.write_text("\n".join(told) + "\n")
    else:
        assert told == lines
