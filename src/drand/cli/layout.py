"""The folder of a daemon, as commands find it."""

from pathlib import Path

from collective.errors import BadSetting
from drand.daemon.folders import BeaconFolder, beacon_ids
from drand.daemon.migration import has_old_layout


def refuse_old_layout(folder: Path) -> None:
    """Raise BadSetting for a folder of before beacon ids existed: <folder>/key and no <folder>/multibeacon."""
    if has_old_layout(folder):
        raise BadSetting(
            f"{folder} has the old layout of one beacon only",
            hint=f"bring it into today's with `drand util migrate --folder {folder}`; the old files stay",
        )


def chosen_beacons(folder: Path, beacon_id: str | None, *, every: bool) -> list[BeaconFolder]:
    """The beacons that a command is about: one, or with --all those that have keys. Raises BadSetting."""
    refuse_old_layout(folder)
    known = beacon_ids(folder)
    names = known if every else [beacon_id or "default"]
    missing = [name for name in names if not BeaconFolder(folder, name).root.is_dir()]
    if missing or not names:
        here = f"here are: {', '.join(known)}" if known else "there is none here"
        raise BadSetting(
            f"there is no beacon {missing[0] if missing else 'at all'} in {folder}",
            hint=f"{here}; choose with --folder and --id",
        )
    return [BeaconFolder(folder, name) for name in names]
