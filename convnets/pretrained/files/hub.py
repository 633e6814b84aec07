"""Files of the Hugging Face hub, by `huggingface_hub` and its cache: `hf://owner/name[@revision][/file]`."""

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from convnets.data.normalization import Normalization
from convnets.errors import InvalidValue
from convnets.pretrained.files.weights import reason_of

BEGINS = "hf://"
PLACE = re.compile(r"hf://(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<file>[^/].*))?")

USUAL_FILES = ("model.safetensors", "pytorch_model.bin")
"""Looked for, in this order, where no file is named."""

SECONDS = 10
"""How long the hub may take to say what it has."""

WHITE = 255

LOGGERS = ("huggingface_hub", "httpx", "httpx2")


def fetch(place: str) -> tuple[Path, str, Normalization | None]:
    """The file from the hub or, where that can't be reached, from the cache; `HF_HUB_OFFLINE=1` asks the cache alone.

    Returns:
      The path of its copy in the cache; `hf://owner/name@revision/file`; what the repository says of the normalization.

    Raises:
      InvalidValue: the place is not written as above; the repository, the revision or the file doesn't exist, or isn't
        for this user; neither the hub can be reached nor is a copy in the cache; the download broke off; the package
        `huggingface_hub` is not installed.
    """
    if not (given := PLACE.fullmatch(place)) or ".." in place.split("/"):
        raise InvalidValue(
            f"{place} is no place on the hub: write hf://owner/name, hf://owner/name/model.safetensors or, for another "
            "version, hf://owner/name@revision/model.safetensors"
        )
    names = (given["file"],) if given["file"] else USUAL_FILES
    with quiet(*LOGGERS):
        repository = _Repository(given["name"], given["revision"])
        for name in names:
            if path := repository.file(name):
                return path, f"{repository}/{name}", normalization_of(repository.file)
    raise repository.without(" or ".join(names))


class _Repository:
    """What a repository has, and the cache of it."""

    def __init__(self, name: str, revision: str | None):
        try:
            import huggingface_hub
            import huggingface_hub.constants
            import huggingface_hub.errors
        except ImportError as error:
            raise InvalidValue(
                f"{BEGINS}{name} takes a package to fetch: pip install huggingface_hub, or give the path of a file"
            ) from error
        self._library: Any = huggingface_hub
        self._name = name
        self._revision = revision
        self._problem: Exception | None = None

    def __str__(self) -> str:
        return f"{BEGINS}{self._name}" + (f"@{self._revision}" if self._revision else "")

    def file(self, name: str) -> Path | None:
        """The path of a file's copy; None if there is no such file, or no copy where the hub can't be asked."""
        library, here = self._library, {"repo_id": self._name, "filename": name, "revision": self._revision}
        if self._problem is None:
            try:
                # Asked apart, as `hf_hub_download` asks for minutes before it gives up.
                library.get_hf_file_metadata(library.hf_hub_url(**here), timeout=SECONDS)
            except library.errors.EntryNotFoundError:
                return None
            except Exception as error:
                self._problem = error
        try:
            return Path(library.hf_hub_download(**here, local_files_only=self._problem is not None))
        except Exception as error:
            if self._problem is not None:
                return None
            raise InvalidValue(
                f"{self}/{name} could not be fetched ({reason_of(error)}): try again, or give the path of a file"
            ) from error

    def without(self, names: str) -> InvalidValue:
        """The error that says why none of the files can be had."""
        errors, problem = self._library.errors, self._problem
        match problem:
            case None:
                return InvalidValue(f"{self} has no file {names}: name one that it has, as {self}/FILE")
            case errors.OfflineModeIsEnabled():
                what, advice = "may not be asked, as HF_HUB_OFFLINE is set", "unset it"
            case errors.GatedRepoError():
                what = "is open only to whom its owners let in"
                advice = "ask for it on its page and log in with `hf auth login`"
            case errors.RepositoryNotFoundError():
                what = "is no repository that the hub shows you"
                advice = "check the name, or log in with `hf auth login` if it is private"
            case errors.RevisionNotFoundError():
                what, advice = "is a revision that does not exist", "name another"
            case _:
                what, advice = f"can't be reached ({reason_of(problem)})", "try again"
        return InvalidValue(
            f"{self} {what}, and the cache {self._library.constants.HF_HUB_CACHE} has no copy of {names}, which would "
            f"have been used: {advice}, or give the path of a file"
        )


def normalization_of(file: Callable[[str], Path | None]) -> Normalization | None:
    """The normalization by `config.json`, as timm writes it, or by `preprocessor_config.json` of transformers.

    Args:
      file: the path of a file of the repository; None if it has none of that name.

    Returns:
      None if neither says one that can be understood.
    """
    timm = _json(file("config.json")).get("pretrained_cfg")
    if isinstance(timm, Mapping) and (found := Normalization.parse(timm.get("mean"), timm.get("std"), 1)):
        return found
    preprocessor = _json(file("preprocessor_config.json"))
    if preprocessor.get("do_normalize") is False:
        return None
    # There the pixels are multiplied by a factor before the mean is taken off.
    factor = preprocessor.get("rescale_factor", 1 / WHITE) if preprocessor.get("do_rescale", True) else 1
    return Normalization.parse(preprocessor.get("image_mean"), preprocessor.get("image_std"), factor, WHITE)


def _json(path: Path | None) -> Mapping[str, Any]:
    """The object of a JSON file; an empty one if there is none."""
    with contextlib.suppress(ValueError):
        if path and isinstance(found := json.loads(path.read_bytes()), dict):
            return found
    return {}


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Keeps libraries from logging requests, retries and advice: what matters comes as an error."""
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
