"""Ten steps on small images, in which something happens to the second of several processes, once, as the word says.

`--config=tests/cli/failing_experiment.py:kill`, with the environment's HAPPENED naming the file that tells of it.
"""

import os
import signal
import sys
import time
from pathlib import Path

import jax

from convnets.data import sources
from convnets.errors import InvalidValue
from convnets.training.config import default_config
from convnets.training.interruption import Interruption

sys.path.insert(0, str(Path(__file__).parent))
from small_runs import stripes

SIGNALS = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT}


def get_config(word="nothing"):
    sources._choices["stripes"] = stripes
    what, _, alone = word.partition("_")
    if what != "nothing":
        # The loop asks once a step whether to stop, and the evaluation once a batch.
        at_call_of_requested(1 if alone else 3 if what in SIGNALS else 9, what, bool(alone))
    config = default_config()
    config.data.name = "stripes"
    config.network.name = "lenet5_bn"
    config.optimizer.learning_rate = 0.05
    config.train.batch_size = 64
    config.train.duration = "10 steps"
    config.validation.examples = 41
    config.evaluation.batch_size = 64
    config.evaluation.every = "6 steps"
    config.evaluation.checkpoint = "last"
    config.checkpoint.every = "4 steps"
    config.log.every = "1 steps"
    return config


def at_call_of_requested(number, what, alone):
    original, calls, acted = Interruption.requested, 0, False

    def requested(self):
        nonlocal calls, acted
        calls += 1
        if calls == number and jax.process_index() == 1 and not Path(os.environ["HAPPENED"]).exists():
            acted = True
            act(what)
        if calls == number and alone and jax.process_index() == 0:
            # As long as a network may take to compile: nobody waits for the other meanwhile.
            time.sleep(60)
        if acted:
            # JAX looks once a second whether a signal has come.
            time.sleep(0.3)
        return original(self)

    Interruption.requested = requested


def act(what):
    Path(os.environ["HAPPENED"]).touch()
    if what == "raise":
        raise RuntimeError("the reader of process 1 fell over")
    if what == "refuse":
        raise InvalidValue("the file of process 1 is damaged: mend it")
    # Ctrl-C reaches the process that started them.
    os.kill(os.getppid() if what == "interrupt" else os.getpid(), SIGNALS.get(what, signal.SIGKILL))
