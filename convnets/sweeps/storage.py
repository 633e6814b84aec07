"""The database of a sweep's study."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from convnets.errors import InvalidValue
from convnets.sweeps.sweep import Sweep


def address(sweep: Sweep) -> str:
    """Of the sweep's storage."""
    return sweep.storage or f"sqlite:///{sweep.workdir.resolve() / 'study.db'}"


@contextmanager
def storage_errors(sweep: Sweep) -> Iterator[None]:
    """Says in a sentence what is wrong with a storage.

    Raises:
      InvalidValue: instead of the errors of the database.
    """
    try:
        yield
    except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ or error
        words = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        try:
            shown = make_url(address(sweep)).render_as_string(hide_password=True)
        except SQLAlchemyError:
            shown = address(sweep)
        raise InvalidValue(
            f"the storage {shown!r} can't be reached ({words}): give --storage an address of SQLAlchemy's, such as "
            "postgresql://user:password@host/database"
        ) from None


@contextmanager
def one_at_a_time(sweep: Sweep) -> Iterator[None]:
    """Of those that are started in the workdir at once, on however many machines, one after the other."""
    with (sweep.workdir / "queue.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
