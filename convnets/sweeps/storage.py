"""Where a sweep is kept: study.json says what it is, a database holds Optuna's study, locks say who works on it."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.sweeps.sweep import Sweep
from convnets.training.config import complete, differences, from_fields

FILE = "study.json"
WAIT_FOR_LOCK = 60.0
"""Seconds."""


def claim(sweep: Sweep) -> str:
    """Writes what the sweep is into its workdir, or refuses the workdir of another one.

    Returns:
      The name of the sweep's study in its storage.

    Raises:
      InvalidValue: the workdir holds another sweep, a run, or can't be written.
    """
    path = sweep.workdir / FILE
    space = sweep.space.described()
    if path.exists():
        try:
            there = json.loads(path.read_text())
            # Fields that are newer than the sweep have the values that it had without them.
            different = differences(complete(from_fields(there["config"])), sweep.config)
            different += _other_spaces(there["space"], space)
            different += _other_storages(there.get("storage", sweep.storage), sweep.storage)
            name = str(there["name"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidValue(f"{path} is damaged: {error}") from None
        if different:
            raise InvalidValue(
                f"the workdir {sweep.workdir} holds another sweep ({'; '.join(different)}): name another --workdir, or "
                "leave these fields as they are there"
            )
        return name
    if (sweep.workdir / "config.json").exists():
        raise InvalidValue(f"the workdir {sweep.workdir} holds a run of launch.py train: name another --workdir")
    # The same for all who start it in this folder, and another one for a folder of the same name elsewhere.
    place = sweep.workdir.resolve()
    name = f"{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"
    _write(sweep, {"name": name, "config": sweep.config.to_dict(), "space": space})
    return name


def keep_storage(sweep: Sweep) -> None:
    """Notes, once the storage has been reached, that the trials of the workdir are in it.

    Raises:
      InvalidValue: the workdir can't be written.
    """
    known = json.loads((sweep.workdir / FILE).read_text())
    if "storage" not in known:
        _write(sweep, known | {"storage": without_password(sweep.storage)})


def _write(sweep: Sweep, content: Mapping[str, Any]) -> None:
    try:
        write_atomically(sweep.workdir / FILE, json.dumps(content, indent=2))
    except OSError as error:
        raise InvalidValue(f"the workdir {sweep.workdir} can't be written: {error.strerror}") from None


def _other_storages(there: str, here: str) -> list[str]:
    """With study.db for none."""
    old, new = (without_password(address) or "study.db" for address in (there, here))
    return [f"--storage is {old} there and {new} here"] if old != new else []


def _other_spaces(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    different = []
    for part in ("search", "constants"):
        for name in sorted(there[part].keys() | here[part].keys()):
            old, new = there[part].get(name, "absent"), here[part].get(name, "absent")
            if old != new:
                different.append(f"{name} is {old} there and {new} here")
    if there["fixed"] != here["fixed"]:
        old, new = ({name for values in fixed for name in values} for fixed in (there["fixed"], here["fixed"]))
        fields = ", ".join(sorted(old ^ new))
        words = f"in the fields {fields}" if fields else "in their values"
        different.append(
            f"{len(there['fixed'])} fixed trials there and {len(here['fixed'])} here, which differ {words}"
        )
    return different


def address(sweep: Sweep) -> str:
    """Of the sweep's database."""
    return sweep.storage or f"sqlite:///{sweep.workdir.resolve() / 'study.db'}"


def without_password(address: str) -> str:
    """An address as it may be shown and kept; of a word that is none, the word."""
    try:
        return make_url(address).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return address


def connect(sweep: Sweep, **options: Any) -> RDBStorage:
    """The sweep's database.

    Args:
      options: of `RDBStorage`.

    Raises:
      InvalidValue: a storage that can't be reached, or one of another version of Optuna.
    """
    with storage_errors(sweep):
        # SQLite has one writer at a time, for whom the others wait.
        wait = {"timeout": WAIT_FOR_LOCK} if make_url(address(sweep)).get_backend_name() == "sqlite" else {}
        try:
            return RDBStorage(address(sweep), engine_kwargs={"connect_args": wait}, **options)
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
    """Those that are started in the workdir at once, on however many machines, pass here one after the other."""
    with (sweep.workdir / "queue.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def only_one(sweep: Sweep) -> Iterator[None]:
    """Refuses a second sweep that would run the trials of the same file; what several share is `--storage`.

    Raises:
      InvalidValue: there is one.
    """
    if sweep.storage:
        yield
        return
    descriptor = os.open(sweep.workdir / "sweep.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidValue(
                f"a sweep runs in {sweep.workdir} already: wait for it, or give both a --storage that they share"
            ) from None
        yield
    finally:
        os.close(descriptor)
