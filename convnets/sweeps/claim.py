"""study.json: what the sweep in a workdir is, so that no other goes on in its folders."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.sweeps.storage import without_password
from convnets.sweeps.sweep import Sweep
from convnets.training.config import complete
from convnets.training.config_file import differences, from_fields

FILE = "study.json"


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
    # The same for all who begin it in this folder, and another one for a folder of the same name elsewhere.
    place = sweep.workdir.resolve()
    name = f"{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"
    try:
        write_atomically(path, json.dumps({"name": name, "config": sweep.config.to_dict(), "space": space}, indent=2))
    except OSError as error:
        raise InvalidValue(f"the workdir {sweep.workdir} can't be written: {error.strerror}") from None
    return name


def keep_storage(sweep: Sweep) -> None:
    """Notes, once the storage has been reached, that the trials of the workdir are in it.

    Raises:
      InvalidValue: the workdir can't be written.
    """
    path = sweep.workdir / FILE
    known = json.loads(path.read_text())
    if "storage" in known:
        return
    try:
        write_atomically(path, json.dumps(known | {"storage": without_password(sweep.storage)}, indent=2))
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
