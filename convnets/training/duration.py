"""Lengths of training in steps, epochs or examples, and the periods within it."""

import re
from dataclasses import dataclass
from fractions import Fraction

from convnets.errors import InvalidValue

UNITS = ("steps", "epochs", "examples")
_FORM = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)\s*([a-z]+)\s*")


@dataclass(frozen=True)
class Clock:
    """What turns epochs and examples into steps.

    Attributes:
      batch_size: examples in a step, over all devices and processes.
      epoch_size: examples in an epoch.
    """

    batch_size: int
    epoch_size: int

    def duration(self, text: str) -> "Duration":
        """`"90 epochs"`, `"64000 steps"`, `"1.5e6 examples"` -> the duration.

        Raises:
          InvalidValue: another form or unit, or a negative number.
        """
        match = _FORM.fullmatch(text) if isinstance(text, str) else None
        unit = "" if match is None else match[2] if match[2].endswith("s") else match[2] + "s"
        if match is None or unit not in UNITS:
            raise InvalidValue(
                f"{text!r} is not a duration: write a number and a unit, such as '90 epochs', "
                f"'500 steps' or '1e6 examples'"
            )
        number = Fraction(match[1].replace("_", ""))
        scale = {"steps": self.batch_size, "epochs": self.epoch_size, "examples": 1}[unit]
        return Duration(number * scale, self.batch_size)

    def epochs(self, step: int) -> float:
        """How many epochs the first `step` steps are."""
        return step * self.batch_size / self.epoch_size


@dataclass(frozen=True)
class Duration:
    """A length of training, exact.

    Attributes:
      examples: its length in examples (a fraction where epochs were not whole).
      batch_size: examples in a step.
    """

    examples: Fraction
    batch_size: int

    @property
    def steps(self) -> int:
        """The fewest steps that see so many examples."""
        return -int(-self.examples // self.batch_size)

    def ends_at(self, step: int) -> bool:
        """Whether step number `step` (from 1) completes a further one of these periods; never for an empty period."""
        if not self.examples or step < 1:
            return False
        return step * self.batch_size // self.examples > (step - 1) * self.batch_size // self.examples

    def ends_within(self, done: int, step: int) -> bool:
        """Whether a period ends at one of the steps after `done` up to `step`."""
        end = self.next_end(done)
        return end is not None and end <= step

    def next_end(self, step: int) -> int | None:
        """The first step after `step` at which a period ends; None for an empty period."""
        if not self.examples:
            return None
        done = step * self.batch_size // self.examples
        return -int(-((done + 1) * self.examples) // self.batch_size)
