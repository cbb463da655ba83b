import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("drand util st", "status"), ("drand gen", "generate-keypair"), ("drand start --fo", "--folder")],
)
def test_the_shell_is_told_how_a_word_goes_on(words: str, wanted: str):
    environment = {**os.environ, "_DRAND_COMPLETE": "bash_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'drand'; from drand.cli.main import main; main()"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"plain,{wanted}" in done.stdout.split("\n")
