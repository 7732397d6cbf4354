"""A ledger whose tables are those of a version of before."""

from importlib.resources import files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config


def driver_url(url: sa.URL) -> sa.URL:
    """The URL with the driver that the ledger uses."""
    return url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url


def open_as_of(version: str, url: sa.URL) -> None:
    """Make the ledger as a version of before left it."""
    config, engine = Config(), sa.create_engine(driver_url(url))
    config.set_main_option("script_location", str(files("reelflow.migrations")))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()
