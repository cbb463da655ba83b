"""The arrows of the design, held by a test: imports go down only, and six arrows are never drawn."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

# Longest prefix wins. Same layer may import same layer, except where FORBIDDEN says otherwise.
LAYERS = {
    "collective": 0,
    "collective.sim": 5,
    "drand.errors": 1,
    "drand.model": 1,
    "drand.wire": 2,
    "drand.protocol": 3,
    "drand.vault": 3,
    "drand.net": 4,
    "drand.verifying": 4,
    "drand.store": 4,
    "drand.daemon": 5,
    "drand.client": 5,
    "drand.relay": 5,
    "drand.sim": 5,
    "drand.timelock": 6,
    "drand.cli": 6,
}

# importer prefix -> what it never imports
FORBIDDEN = {
    "drand.protocol": (
        "drand.wire",
        "drand.vault",
        "asyncio",
        "time",
        "random",
        "secrets",
        "logging",
        "os",
        "datetime",
    ),
    "drand.vault": ("drand.protocol", "drand.net", "drand.store", "drand.daemon", "grpc", "aiohttp", "sqlite3"),
    "collective": ("drand", "conode"),
    "drand": ("conode",),
    "conode": ("drand",),
}

# imported module -> the only files (or folders) that may import it
ONLY_FROM = {
    "time": ("collective/clock.py",),
    "datetime": ("collective/clock.py", "drand/net/", "drand/cli/", "drand/daemon/", "drand/client/"),
    "secrets": ("collective/entropy.py",),
    "random": ("collective/entropy.py", "collective/sim/", "drand/sim/"),
    "os.urandom": ("collective/entropy.py",),
    "os.getrandom": ("collective/entropy.py",),
    "uuid": ("collective/entropy.py",),
    "pyblst": ("collective/groups/bls12381_blst.py",),
    "py_arkworks_bls12381": ("collective/groups/bls12381_arkworks.py",),
    "gmpy2": ("collective/groups/bn/integers.py",),
    "Crypto": ("collective/keccak.py",),
    "collective.sim": ("collective/sim/", "drand/sim/", "drand/cli/simulate.py"),
    "drand.sim": ("drand/sim/", "drand/cli/simulate.py"),
    "sqlite3": ("drand/store/",),
    "aiohttp": ("drand/net/", "drand/client/"),
    "grpc": ("drand/net/", "drand/wire/gen/"),
    # The node sees no secret: the vault has them, its files spell them, and a justification shows one to everybody.
    "drand.model.share": ("drand/vault/", "drand/wire/toml_files.py"),
    "collective.secret.SecretScalar": (
        "collective/",
        "drand/vault/",
        "drand/wire/toml_files.py",
        "drand/model/share.py",
        "drand/protocol/complaints.py",
        "drand/sim/",
    ),
}

# what reads the clock or the machine's randomness without importing it -> the only files that may. An event loop's own
# time is its own affair: it says how long to nap, not what time it is.
READERS = {
    "os.urandom": ("collective/entropy.py",),
    "os.getrandom": ("collective/entropy.py",),
    "os.times": (),
    "datetime.now": (),
    "datetime.utcnow": (),
    "datetime.today": (),
    "date.today": (),
}


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if "/gen/" not in path.as_posix())


def dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the layer"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def readings(path: Path) -> Iterator[tuple[str, int]]:
    """Calls whose last two names are those of a reader, as in datetime.datetime.now()."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = f"{ast.unparse(node.func.value).rpartition('.')[2]}.{node.func.attr}"
            if called in READERS:
                yield called, node.lineno


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def layer(module: str) -> int | None:
    fitting = [prefix for prefix in LAYERS if within(module, prefix)]
    return LAYERS[max(fitting, key=len)] if fitting else None


def violations(name: str, relative: str, imported: str) -> Iterator[str]:
    mine, theirs = layer(name), layer(imported)
    if mine is not None and theirs is not None and theirs > mine:
        yield f"layer {mine} imports {imported} of layer {theirs}"
    for prefix, banned in FORBIDDEN.items():
        if within(name, prefix):
            yield from (f"{prefix} never imports {bad}" for bad in banned if within(imported, bad))
    for module, allowed in ONLY_FROM.items():
        if within(imported, module) and not any(relative.startswith(place) for place in allowed):
            yield f"only {', '.join(allowed)} may import {module}"


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_go_down_only_and_no_forbidden_arrow_is_drawn(path: Path):
    relative = path.relative_to(SOURCE).as_posix()
    found = [
        f"{relative}:{line}: {why}"
        for imported, line in imports(path)
        for why in violations(dotted(path), relative, imported)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_the_clock_and_the_machines_randomness_are_read_in_two_files_only(path: Path):
    relative = path.relative_to(SOURCE).as_posix()
    found = [f"{relative}:{line}: {called}" for called, line in readings(path) if relative not in READERS[called]]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line", ["datetime.datetime.now(UTC)", "datetime.now()", "os.urandom(32)"])
def test_that_check_itself_sees_a_reader(tmp_path: Path, line: str):
    (tmp_path / "module.py").write_text(f"def read(self):\n    return {line}\n")
    assert [number for _, number in readings(tmp_path / "module.py")] == [2]


def test_every_package_has_a_layer():
    assert [dotted(path) for path in modules() if layer(dotted(path)) is None and dotted(path) != "drand"] == []


@pytest.mark.parametrize(
    ("name", "relative", "imported"),
    [
        ("drand.protocol.dkg", "drand/protocol/dkg.py", "asyncio"),
        ("drand.protocol.dkg", "drand/protocol/dkg.py", "drand.vault.vault"),
        ("drand.vault.vault", "drand/vault/vault.py", "drand.store.sqlite"),
        ("drand.model.group", "drand/model/group.py", "drand.wire.packets"),
        ("collective.runner", "collective/runner.py", "time"),
        ("drand.daemon.daemon", "drand/daemon/daemon.py", "drand.sim.world"),
        ("collective.groups.toy", "collective/groups/toy.py", "pyblst"),
        ("drand.cli.main", "drand/cli/main.py", "conode.server"),
        ("drand.daemon.daemon", "drand/daemon/daemon.py", "collective.secret.SecretScalar"),
    ],
)
def test_the_check_itself_sees_a_forbidden_arrow(name: str, relative: str, imported: str):
    assert list(violations(name, relative, imported))
