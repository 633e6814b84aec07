"""An experiment of ten steps in which something happens to the second of several processes, once, as the word says.

`--config=tests/cli/failing_experiment.py:kill`, with the environment's HAPPENED naming the file that tells of it.
"""

import os
import signal
import time
from pathlib import Path

import jax

from convnets.errors import InvalidValue
from convnets.training import loop
from convnets.training.config import default_config


def get_config(word):
    happened = Path(os.environ["HAPPENED"])

    def to_second():
        if jax.process_index() == 1 and not happened.exists():
            happened.touch()
            if word.startswith("raise"):
                raise RuntimeError("the reader of process 1 fell over")
            if word == "refuse":
                raise InvalidValue("the file of process 1 is damaged: mend it")
            signals = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
            # Ctrl-C reaches the process that started them.
            whom = os.getppid() if word == "interrupt" else os.getpid()
            os.kill(whom, signals.get(word, signal.SIGKILL))
            if word in signals:
                # JAX looks once a second whether the signal has come.
                before(loop.Figures, "add", lambda *_: True, lambda: time.sleep(0.3))

    def to_second_alone():
        to_second()
        # As long as a network may take to compile: nobody waits for the other meanwhile.
        if jax.process_index() == 0:
            time.sleep(60)

    if word.endswith("_alone"):
        before(loop, "mapped_train_step", lambda *_: True, to_second_alone)
    else:
        due = 2 if word in ("terminate", "interrupt") else 7
        before(loop.Figures, "add", lambda _, step, __: step == due, to_second)
    return short_config()


def before(owner, name, when, do):
    original = getattr(owner, name)

    def call(*arguments, **options):
        if when(*arguments):
            do()
        return original(*arguments, **options)

    setattr(owner, name, call)


def short_config():
    config = default_config()
    config.network.name = "lenet5_bn"
    config.optimizer.learning_rate = 0.05
    config.train.batch_size = 64
    config.train.duration = "10 steps"
    config.validation.examples = 999
    config.evaluation.batch_size = 2000
    config.evaluation.every = "6 steps"
    config.evaluation.checkpoint = "last"
    config.checkpoint.every = "4 steps"
    config.log.every = "1 steps"
    return config
