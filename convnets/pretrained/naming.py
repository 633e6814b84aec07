"""The names that a library gives to the arrays of a network, as a table from our names to theirs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from convnets.data.normalization import Normalization
from convnets.pretrained.patterns import Path


@dataclass(frozen=True)
class Naming:
    """How one library names, lays out and feeds one network.

    Attributes:
      library: "torchvision", ...
      architecture: the name in `create` of the network that its weights fit.
      rules: from the paths of our layers, or single arrays, to names there; the first that fits counts.
        `stage{s}_block{b}/conv{c}` stands for all numbers s, b and c; the name there has them as `{s}`, with one more
        or less as `{b-1}`, or as a letter of the alphabet as `{b:a}`.
      normalization: of RGB images, that the weights expect.
      arrays: what the arrays of a layer are called, behind its name; of a batch norm, `norm_arrays`.
      matrices: patterns of the layers whose kernels are matrices there.
      neurons_last: whether those are [height x width x channels, neurons], not [neurons, channels x height x width].
      renames: regular expressions, and what the names in a file that match them become before all else.
      passed_over: regular expression of names there that stand for nothing here.
      optional: patterns of layers that weights may lack, or have in vain.
      biases: of convolutions before a batch norm: the path of the mean that each moves, and its name there.
      bgr: whether the channels of the images are blue, green, red.
      options: of the architecture, that the weights expect besides.
    """

    library: str
    architecture: str
    rules: Mapping[str, str]
    normalization: Normalization
    arrays: Mapping[str, str] = field(default_factory=lambda: {"kernel": "/weight", "bias": "/bias"})
    norm_arrays: Mapping[str, str] = field(default_factory=dict)
    matrices: tuple[str, ...] = ()
    neurons_last: bool = False
    renames: Mapping[str, str] = field(default_factory=dict)
    passed_over: str = ""
    optional: tuple[str, ...] = ()
    biases: Mapping[str, str] = field(default_factory=dict)
    bgr: bool = False
    options: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.library}'s {self.architecture}"

    def there(self, path: Path) -> str | None:
        """The name there of the array at a path, as `("conv1", "norm", "mean")`; None if it has none."""
        *layers, array = path
        ending = (self.norm_arrays if layers[-1] == "norm" else self.arrays).get(array)
        for here, there in self.rules.items():
            if match := _pattern(here).fullmatch("/".join(path)):
                return _filled(there, match)
            if ending is not None and (match := _pattern(here).fullmatch("/".join(layers))):
                return _filled(there, match) + ending
        return None

    def renamed(self, name: str) -> str:
        """A name in a file, as the rules have it."""
        for pattern, replacement in self.renames.items():
            if match := re.fullmatch(pattern, name):
                return match.expand(replacement)
        return name

    def passes_over(self, name: str) -> bool:
        """Whether a name there stands for nothing here."""
        return re.fullmatch(self.passed_over, name) is not None


def _pattern(template: str) -> re.Pattern[str]:
    """Which paths `conv{c}` stands for."""
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(rf"(?P<{part}>\d+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)))


def _filled(template: str, numbers: re.Match[str]) -> str:
    """`layer{s}.{b-1}` with these numbers in it."""

    def fill(place: re.Match[str]) -> str:
        number = int(numbers[place["name"]]) + int(place["shift"] or 0)
        return chr(ord("a") + number - 1) if place["letter"] else str(number)

    return re.sub(r"\{(?P<name>\w+?)(?P<shift>[+-]\d+)?(?P<letter>:a)?\}", fill, template)
