"""A folder of before beacon ids: what each command makes of it."""

from pathlib import Path

import pytest

from drand.cli.root import run
from drand.daemon.folders import beacon_ids


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "drand_id.private").write_text("Key = 'rubbish'\n")
    (tmp_path / "key" / "drand_id.public").write_text("")
    return tmp_path


def test_other_commands_point_to_the_one_that_migrates(old: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["util", "self-sign", "--folder", str(old)]) == 1
    said = capsys.readouterr().err
    assert "old layout" in said
    assert f"drand util migrate --folder {old}" in said


def test_a_folder_is_migrated_once_and_the_second_time_nothing_is_to_do(old: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["util", "migrate", "--folder", str(old)]) == 0
    assert "was migrated" in capsys.readouterr().out
    assert beacon_ids(old) == ["default"]
    assert run(["util", "migrate", "--folder", str(old)]) == 0
    assert "needs no migration" in capsys.readouterr().out


def test_start_migrates_by_itself(old: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["start", "--folder", str(old), "--tls-disable", "--control", "0"]
    assert run(arguments) == 1, "the copied key is rubbish"
    said = capsys.readouterr()
    assert "its files were copied" in said.err
    assert "multibeacon/default/key/drand_id.private" in said.err
    assert "Traceback" not in said.err + said.out
