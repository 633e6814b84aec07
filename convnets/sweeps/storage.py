"""The database of a sweep's study."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from convnets.errors import InvalidValue
from convnets.sweeps.sweep import Sweep

WAIT_FOR_LOCK = 60.0
"""Seconds."""


def address(sweep: Sweep) -> str:
    """Of the sweep's storage."""
    return sweep.storage or f"sqlite:///{sweep.workdir.resolve() / 'study.db'}"


def without_password(address: str) -> str:
    """An address as it may be shown and kept; of a word that is none, the word."""
    try:
        return make_url(address).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return address


def connect(sweep: Sweep, **given: Any) -> RDBStorage:
    """The sweep's storage, with what else Optuna is given for it.

    Raises:
      InvalidValue: a storage that can't be reached, or one of another version of Optuna.
    """
    with storage_errors(sweep):
        # SQLite has one writer at a time, for whom the others wait.
        wait = {"timeout": WAIT_FOR_LOCK} if make_url(address(sweep)).get_backend_name() == "sqlite" else {}
        try:
            return RDBStorage(address(sweep), engine_kwargs={"connect_args": wait}, **given)
        except ImportError as error:
            raise _unreachable(sweep, str(error)) from None
        except RuntimeError as error:
            raise InvalidValue(
                f"the storage {without_password(address(sweep))!r} was made by another version of Optuna: {error}"
            ) from None


@contextmanager
def storage_errors(sweep: Sweep) -> Iterator[None]:
    """Says in a sentence what is wrong with a storage.

    Raises:
      InvalidValue: instead of the errors of the database.
    """
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ or error
        raise _unreachable(sweep, str(getattr(cause, "orig", None) or cause)) from None


def _unreachable(sweep: Sweep, error: str) -> InvalidValue:
    return InvalidValue(
        f"the storage {without_password(address(sweep))!r} can't be reached ({error.strip().splitlines()[0]}): give "
        "--storage an address of SQLAlchemy's, such as postgresql://user:password@host/database"
    )


@contextmanager
def one_at_a_time(sweep: Sweep) -> Iterator[None]:
    """Of those that are started in the workdir at once, on however many machines, one after the other."""
    with (sweep.workdir / "queue.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
