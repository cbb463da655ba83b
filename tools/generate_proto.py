"""Generate `drand.wire.gen` from `src/drand/wire/proto/*.proto`: modules, type stubs and gRPC stubs.

    python tools/generate_proto.py             write into src/drand/wire/gen
    python tools/generate_proto.py --into DIR  write the same tree elsewhere (a test compares it with what is committed)

protoc makes Python imports from the paths of the .proto files. So these are shown to it under `drand/wire/gen/`, where
the modules end up: plain imports work, and nothing is ever called `drand/*.proto`, which would shadow our own package.
Needs grpcio-tools and mypy-protobuf (the `dev` extra).
"""

import argparse
import os
import sysconfig
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src/drand/wire/proto"
MODULE_PATH = "drand/wire/gen"
WITH_SERVICES = ("public", "protocol", "control", "httpgrpc")


def _run(arguments: list[str], names: list[str]) -> None:
    """Call protoc on `names`; exits with its status when it fails."""
    files = [f"{MODULE_PATH}/{name}.proto" for name in names]
    status = protoc.main(["protoc", f"--proto_path={MODULE_PATH}={SOURCES}", *arguments, *files])
    if status:
        raise SystemExit(status)


def generate(into: Path) -> None:
    """Write all modules under `into`/drand/wire/gen, replacing what is there."""
    package = into / MODULE_PATH
    package.mkdir(parents=True, exist_ok=True)
    for stale in package.glob("*_pb2*"):
        stale.unlink()
    (package / "__init__.py").touch()
    # The stub plugins are scripts of the running environment, which need not be on the caller's PATH.
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    names = sorted(path.stem for path in SOURCES.glob("*.proto"))
    _run([f"--python_out={into}", f"--mypy_out=quiet:{into}"], names)
    _run([f"--grpc_python_out={into}", f"--mypy_grpc_out=quiet:{into}"], list(WITH_SERVICES))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=ROOT / "src", help="root of the tree to write (default: src)")
    generate(parser.parse_args().into.resolve())


if __name__ == "__main__":
    main()
