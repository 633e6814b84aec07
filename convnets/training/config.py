"""The fields of an experiment and their defaults, as they are completed, written and compared.

A section such as `network` or `optimizer` names a choice from a registry; its other fields are the options of that
choice, taken from the choice's own signature. So every option has one home, and `lock` refuses what nobody reads.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from convnets import data, models, tasks
from convnets.errors import InvalidValue, nearest
from convnets.registry import Registry
from convnets.training.optimizers import optimizers
from convnets.training.schedules import schedules

CHOICES: dict[str, Registry[Any]] = {
    "task": tasks.tasks,
    "data": data.sources,
    "network": models.architectures,
    "optimizer": optimizers,
    "schedule": schedules,
}
"""The sections that name a choice."""

GIVEN_BY_TRAINING = ("norm",)
"""Options that come from another section (batch_norm) and are not fields."""


def default_config() -> ConfigDict:
    """Every field of an experiment but the options of its choices; `complete` adds those."""
    return ConfigDict(
        {
            # Of initialization, the order of examples, augmentation and dropout.
            "seed": 0,
            "task": {"name": "classification"},
            "data": {"name": "fashion_mnist"},
            "network": {"name": "lenet5"},
            # Classes of the data set by name; none: all. per_class: so many training examples of each, drawn by the
            # seed, of which validation takes its part; 0: all of them.
            "subset": {"classes": (), "per_class": 0, "seed": 0},
            # The part of the training examples that is held out to choose by, and the seed it is drawn with.
            "validation": {"examples": 5000, "seed": 0},
            # What a new run begins with: another run's checkpoint ("best", "last", or a step), or weights, a file or
            # hf://owner/name, of an architecture (empty: network.name). The rest is what convnets/pretrained/surgery.py
            # says; 'normalization' in allow permits another than the weights expect.
            "initialize": {
                "workdir": "",
                "checkpoint": "best",
                "weights": "",
                "architecture": "",
                "layers": (),
                "head": "keep",
                "stem": "keep",
                "deepen": False,
                "allow": (),
            },
            # Parts of the network that are not trained. below: a feature map, as "stage3" or "pre_logits": all that the
            # maps before it need ("logits": that any map needs). layers: patterns of names, as "conv1", "stage1*" or
            # "*/norm". schedule: pairs of a duration, the first "0 steps", and the `below` from then on ("": nothing),
            # in place of one `below`.
            "freeze": {"below": "", "layers": (), "schedule": ()},
            # Of each channel of all training pixels, on the scale where white is 1; mean (): what initialize expects.
            "normalization": {"mean": (0.5,), "std": (0.25,)},
            # Pairs of a name and its options, applied in this order.
            "augmentation": (),
            # epsilon: 0 stands for the architecture's own (1e-5, but 1e-3 in googlenet_bn). per: "filter" or
            # "location". scope: "synchronized" over all devices, or each "device" by itself.
            "batch_norm": {"momentum": 0.9, "epsilon": 0.0, "per": "filter", "scope": "synchronized"},
            "optimizer": {
                "name": "sgd",
                "learning_rate": 0.1,
                # The batch size that the learning rate is meant for, to scale it in proportion; 0: as it is.
                "reference_batch_size": 0,
                # Pairs of a pattern of names and a factor of the learning rate; the first that matches a layer counts,
                # 1 where none does. The lecture's advice for transfer: (("logits", 1.0), ("*", 0.1)).
                "rates": (),
                # Factor for each group of layers, from one feature map to the next, between a layer and the logits.
                "depth_decay": 1.0,
                "weight_decay": 1e-4,
                "decay_bias_and_norm": False,
                "gradient_clip": 0.0,
            },
            "schedule": {"name": "cosine", "warmup": "0 steps"},
            "train": {
                # Examples in a step over all devices and processes.
                "batch_size": 128,
                "duration": "10 epochs",
                # Equal parts that a device's batch is worked through in, to save memory.
                "gradient_accumulation": 1,
                # Decay of the exponential moving average of the parameters that evaluation uses; 0: none.
                "average_decay": 0.0,
                # Steps in one call of the device.
                "steps_per_dispatch": 1,
                # Pairs of a duration, the first "0 steps", and the side of the training images from then on; the last
                # is data.size. Empty: data.size from the start.
                "resolutions": (),
                # "pmap" or "shard_map".
                "wrapper": "pmap",
            },
            # every: evaluate on the validation split so often. metric: what the best checkpoint and the plateau
            # schedule go by; empty: the task's own. checkpoint: which one, "best" or "last", is tested at the end.
            # protocol: which views of an image are scored (convnets/evaluation/protocols.py). scales: theirs, relative
            # to the training size, instead of the protocol's own. average: of "probabilities" or of "logits". window:
            # the largest side, in pixels, of images whose pixels are scored at once; larger ones are by windows that
            # overlap by so many at least.
            "evaluation": {
                "batch_size": 1000,
                "every": "1 epochs",
                "metric": "",
                "checkpoint": "best",
                "protocol": "centre_crop",
                "scales": (),
                "average": "probabilities",
                "window": 1024,
                "overlap": 256,
            },
            # Besides one at each evaluation; empty: no others. keep: so many of the latest, and the best. folder: where
            # they are copied to from the workdir, a folder or a bucket (gs://bucket/folder, s3://bucket/folder).
            "checkpoint": {"every": "", "keep": 2, "folder": ""},
            "log": {"every": "50 steps"},
            # threads: that read, in this process (workers 0) or in each of so many worker processes. buffer: batches
            # read ahead.
            "loader": {"threads": 2, "buffer": 8, "workers": 0},
            # On CPU only. kernels: "onednn" (compiled for this machine), "direct" (the same without minimal filtering),
            # "xla", or "auto", the first where it can be had. keep_memory: training keeps the memory that a step frees,
            # for the next one.
            "cpu": {"kernels": "auto", "keep_memory": True},
        }
    )


def complete(config: ConfigDict, choices: Mapping[str, str] | None = None) -> ConfigDict:
    """The config with a field for each option of each choice, locked.

    Args:
      config: `default_config()` with an experiment's fields set; options of a choice may be among them.
      choices: other names for some sections (as from the command line); options that the experiment set and
        the new choice has too stay, the others go.

    Raises:
      InvalidValue: an unknown section, field, choice or option, or a value of another type.
    """
    completed = default_config()
    for section in config:
        if section not in completed:
            raise InvalidValue(f"unknown section config.{section}: {nearest(section, completed)}")
    for section, default in default_config().items():
        given = config.get(section, default)
        if not isinstance(default, ConfigDict):
            completed[section] = given
            continue
        given, fields, owner = given.to_dict(), default.to_dict(), "unknown field"
        if section in CHOICES:
            registry, name = CHOICES[section], given["name"]
            given["name"] = (choices or {}).get(section, name)
            options = registry.options(given["name"])
            fields |= {option: value for option, value in options.items() if option not in GIVEN_BY_TRAINING}
            owner = f"the {registry.kind} {name!r} has no field"
            if given["name"] != name:
                given = {field: value for field, value in given.items() if field in fields}
        completed[section] = _filled(section, ConfigDict(fields), given, owner)
    return completed.lock()


def _filled(section: str, fields: ConfigDict, given: Mapping[str, Any], unknown: str) -> ConfigDict:
    for field, value in given.items():
        if field not in fields:
            raise InvalidValue(f"{unknown} {section}.{field}: {nearest(field, fields)}")
        try:
            fields[field] = value
        except TypeError as error:
            raise InvalidValue(f"{section}.{field} can't be {value!r}: {error}") from None
    return fields


def refuse_unknown(config: ConfigDict, given: Iterable[str], prefix: str = "") -> None:
    """Refuses fields that the completed config does not have.

    Args:
      given: names of fields with dots.
      prefix: of the names, as the user wrote them.

    Raises:
      InvalidValue: with the nearest whole names, or else what there is in the section.
    """
    known = dict(flatten(config))
    for field in given:
        if field in known:
            continue
        hint = nearest(field, known)
        section = field.rpartition(".")[0]
        siblings = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == section]
        if not hint.startswith("did you mean"):
            has = f"{section} has {', '.join(siblings)}"
            hint = has if section and siblings else f"the sections are {', '.join(sorted(config))}"
        raise InvalidValue(f"unknown field {prefix}{field}: {hint}")


def options_of(config: ConfigDict, section: str) -> dict[str, Any]:
    """The fields of a section that are options of its choice."""
    known = CHOICES[section].options(config[section].name)
    return {field: value for field, value in config[section].items() if field in known}


def flatten(config: ConfigDict | Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every field as ("optimizer.learning_rate", 0.1)."""
    for field, value in config.items():
        if isinstance(value, ConfigDict | Mapping):
            yield from ((f"{field}.{name}", inner) for name, inner in flatten(value))
        else:
            yield field, value


def to_json(config: ConfigDict) -> str:
    """The config as indented JSON."""
    return json.dumps(config.to_dict(), indent=2)


RENAMED = {"normalization.deviation": "normalization.std", "data.canvas": "data.bucket"}
"""Fields of configs written earlier, and their names now."""


def from_json(path: Path) -> ConfigDict:
    """The config of a file that `to_json` made, locked.

    Raises:
      InvalidValue: a file that is damaged.
    """
    return from_text(path.read_text(), str(path))


def from_text(text: str, where: str) -> ConfigDict:
    """The same of the content of such a file, called `where` in what is said of it."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise InvalidValue(f"{where} is not readable as JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidValue(f"{where} holds no config, but {str(fields)[:40]!r}")
    return from_fields(fields)


def from_fields(fields: dict[str, Any]) -> ConfigDict:
    """The config of the sections read from JSON, locked: lists are tuples again, and renamed fields have their names
    of today."""
    fields = _tuples(fields)
    for old, new in RENAMED.items():
        section, _, field = old.partition(".")
        if isinstance(fields.get(section), dict) and field in fields[section]:
            fields[section][new.partition(".")[2]] = fields[section].pop(field)
    return ConfigDict(fields).lock()


PLACES = (
    "data.data_dir",
    "data.cache",
    "data.keep",
    "data.unreadable",
    "loader.threads",
    "loader.buffer",
    "loader.workers",
    "checkpoint.folder",
)
"""Fields that say where and how fast a run happens, not what it is: they may differ when it is resumed."""


def differences(there: ConfigDict, here: ConfigDict) -> list[str]:
    """`"optimizer.learning_rate is 0.1 there and 0.05 here"` for each field that differs, but `PLACES`."""
    old, new = (dict(flatten(_tuples(json.loads(to_json(config))))) for config in (there, here))
    absent = "absent"
    return [
        f"{field} is {old.get(field, absent)!r} there and {new.get(field, absent)!r} here"
        for field in sorted(old.keys() | new.keys())
        if old.get(field, absent) != new.get(field, absent) and field not in PLACES
    ]


def _tuples(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
