"""`drand util migrate`: from the folder of one beacon to that of many."""

from pathlib import Path

import click

from drand.cli.options import FOLDER
from drand.daemon.folders import MULTIBEACON
from drand.daemon.migration import migrate_old_layout
from drand.model.chain import DEFAULT_BEACON_ID


@click.command()
@FOLDER
def migrate(folder: Path) -> None:
    """Copy key, groups and db of a folder of before beacon ids to where the default beacon is kept today.

    `drand start` does the same by itself. The old files stay, and may be removed once the node has run.
    """
    migrated = migrate_old_layout(folder)
    click.echo("folder structure is now ready to support multi-beacon drand")
    if migrated:
        click.echo(f"{folder} was migrated: its beacon is in {folder / MULTIBEACON / DEFAULT_BEACON_ID}")
    else:
        click.echo(f"{folder} needs no migration")
