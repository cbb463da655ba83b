"""Static export: the files of a server, written incrementally."""

from dataclasses import replace
from pathlib import Path

import pytest

from collective.errors import BadSetting
from drand.relay import export
from drand.relay.export import CannotWrite, Tree, run_export
from drand.relay.settings import RelaySettings
from drand.wire.http_json import beacon_json, parse_beacon, parse_chain_info, parse_chains
from tests.support.living_chain import PAST_ROUNDS, InThread, LivingChain, listed_before_the_default


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_an_export_has_the_paths_and_bodies_of_the_api_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chain = LivingChain()
    hash_ = chain.info().hash().hex()
    with InThread(chain) as server:
        settings = RelaySettings(sources=(server.url,))
        list(run_export(settings, tmp_path, 1, 7))
        for name in ("public/7", f"{hash_}/public/7"):
            assert (tmp_path / name).read_bytes() == beacon_json(chain.committee.beacon(7))
        assert parse_chain_info((tmp_path / "v2/beacons/default/info").read_bytes()) == chain.info()
        assert parse_chains((tmp_path / "chains").read_bytes()) == (chain.info().hash(),)
        assert "public/8" not in files(tmp_path)
        written: list[str] = []
        real = export.write_once
        monkeypatch.setattr(export, "write_once", lambda path, body: (written.append(path.name), real(path, body)))
        list(run_export(settings, tmp_path, 1, 12))
        assert sorted(map(int, set(written))) == [8, 9, 10, 11, 12]
        latest = int((tmp_path / f"{hash_}/public/latest").read_bytes().split(b",")[0].split(b":")[1])
        assert latest >= PAST_ROUNDS - 1


def test_an_export_whose_mark_is_damaged_looks_at_every_file(tmp_path: Path):
    chain = LivingChain()
    with InThread(chain) as server:
        settings = RelaySettings(sources=(server.url,))
        list(run_export(settings, tmp_path, 1, 5))
        mark = tmp_path / "v2" / "chains" / chain.info().hash().hex() / ".exported"
        mark.write_bytes(b"\xff")
        (tmp_path / "public" / "3").unlink()
        list(run_export(settings, tmp_path, 1, 5))
    assert (tmp_path / "public" / "3").exists()


@pytest.mark.parametrize("beacon_id", ["../../caught", "/tmp/caught", "..", ".exported", "a/b", "a\0b", "index.json"])
def test_a_chain_cannot_choose_where_it_is_written(beacon_id: str, tmp_path: Path):
    with pytest.raises(BadSetting, match="beacon id"):
        Tree(tmp_path / "out", replace(LivingChain().info(), beacon_id=beacon_id), default=False)


def test_one_chain_with_a_name_like_a_path_writes_nothing_outside(tmp_path: Path):
    with InThread(LivingChain(beacon_id="../../caught")) as server, pytest.raises(BadSetting):
        list(run_export(RelaySettings(sources=(server.url,)), tmp_path / "out", 1, 3))
    assert not files(tmp_path)


def test_two_chains_of_one_name_are_not_mixed(tmp_path: Path):
    two = LivingChain()
    two.chain = replace(two.chain, genesis_unix_s=two.chain.genesis_unix_s - 5)
    with InThread(LivingChain(), two) as server, pytest.raises(BadSetting, match="2 chains"):
        list(run_export(RelaySettings(sources=(server.url,)), tmp_path, 1, 3))


def test_a_file_that_a_loss_of_power_left_empty_is_written_again_and_latest_never_goes_back(tmp_path: Path):
    chain = LivingChain()
    tree = Tree(tmp_path, chain.info(), default=True)
    empty = tmp_path / "public" / "3"
    empty.parent.mkdir()
    empty.touch()
    tree.write_round(chain.committee.beacon(3))
    assert parse_beacon(empty.read_bytes()) == chain.committee.beacon(3)
    for round_ in (4, 6, 5):
        tree.write_latest(chain.committee.beacon(round_))
    assert parse_beacon((tmp_path / "public" / "latest").read_bytes()).round == 6


def test_a_disk_that_refuses_is_named(tmp_path: Path):
    (tmp_path / "out").write_text("a file where the folder should be")
    chain = LivingChain()
    with InThread(chain) as server, pytest.raises(CannotWrite, match="cannot write"):
        list(run_export(RelaySettings(sources=(server.url,)), tmp_path / "out", 1, 3))


@pytest.mark.parametrize(("failure", "raised"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(), CannotWrite)])
def test_an_export_that_is_ended_leaves_no_half_of_a_file(
    failure: BaseException, raised: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(export.os, "replace", fail)
    with pytest.raises(raised):
        export.write(tmp_path / "1", b"{}")
    assert files(tmp_path) == set()


def test_whole_pages_are_written_from_their_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export, "PAGE_ROUNDS", 5)
    chain = LivingChain()
    with InThread(chain) as server:
        list(run_export(RelaySettings(sources=(server.url,)), tmp_path, 1, 12))
    pages = tmp_path / "v2" / "beacons" / "default" / "pages"
    assert {path.name for path in pages.iterdir()} == {"1", "5"}
    assert len((pages / "5").read_bytes().splitlines()) == 5


def test_the_paths_without_a_hash_are_those_of_the_default_chain_and_stay_so(tmp_path: Path):
    listed_first, usual = listed_before_the_default()
    with InThread(listed_first, usual) as server:
        settings = RelaySettings(sources=(server.url,))
        list(run_export(settings, tmp_path, 1, 3))
        assert parse_chain_info((tmp_path / "info").read_bytes()).hash() == usual.info().hash()
        assert parse_chains((tmp_path / "chains").read_bytes()) == (listed_first.info().hash(), usual.info().hash())
        other = RelaySettings(sources=(server.url,), chains=(listed_first.info().hash().hex(),))
        with pytest.raises(BadSetting, match="has the rounds of chain"):
            list(run_export(other, tmp_path, 1, 3))
    assert (tmp_path / "public" / "3").read_bytes() == beacon_json(usual.committee.beacon(3))
