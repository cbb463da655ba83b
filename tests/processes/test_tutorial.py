"""The tutorial's commands, run as they are written."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "three-nodes.md"
PATIENCE_S = 150


@pytest.mark.slow
def test_the_tutorial_works_as_it_is_typed(tmp_path: Path):
    blocks = re.findall(r"```sh\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    assert len(blocks) >= 7
    script = tmp_path / "tutorial.sh"
    script.write_text("set -e\n" + "\n".join(blocks))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    running = subprocess.Popen(
        ["bash", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = running.communicate(timeout=PATIENCE_S)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 0, output
    assert re.search(r"round \d+ is valid; randomness [0-9a-f]{64}", output), output
    hashes = re.findall(r"^[0-9a-f]{64}$", output, re.MULTILINE)
    assert len(hashes) == 2, output
    assert hashes[0] == hashes[1]
