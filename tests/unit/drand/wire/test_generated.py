"""What is committed under drand/wire/gen is what the .proto files give, and nobody edited it."""

import subprocess
import sys
from pathlib import Path

import pytest

from drand.wire.gen import control_pb2, protocol_pb2, public_pb2

ROOT = Path(__file__).resolve().parents[4]
GENERATED = ROOT / "src/drand/wire/gen"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.suffix in (".py", ".pyi")}


def test_generating_again_changes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    command = [sys.executable, str(ROOT / "tools/generate_proto.py"), "--into", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    assert contents(tmp_path / "drand/wire/gen") == contents(GENERATED)


def test_services_and_methods_have_the_names_of_the_network() -> None:
    def methods(file: object, service: str) -> list[str]:
        return [method.name for method in file.DESCRIPTOR.services_by_name[service].methods]  # type: ignore[attr-defined]

    assert protocol_pb2.DESCRIPTOR.package == "drand"
    assert methods(protocol_pb2, "Protocol") == [
        "GetIdentity",
        "SignalDKGParticipant",
        "PushDKGInfo",
        "BroadcastDKG",
        "PartialBeacon",
        "SyncChain",
        "Status",
    ]
    assert methods(public_pb2, "Public") == ["PublicRand", "PublicRandStream", "ChainInfo", "Home"]
    assert len(methods(control_pb2, "Control")) == 17
