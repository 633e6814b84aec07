"""Several real processes train as one."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from launching import EXPERIMENT, evaluations, free_port, launch, losses, needs_data, start

pytestmark = needs_data()
FIELDS = (
    EXPERIMENT,
    "--config.network.name=lenet5_bn",
    "--config.train.batch_size=64",
    "--config.train.duration=10 steps",
    "--config.validation.examples=999",
    "--config.evaluation.batch_size=2000",
    "--config.evaluation.every=6 steps",
    "--config.log.every=1 steps",
    "--config.schedule.warmup=0 steps",
)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> Path:
    """The workdir of the same run by one process with two devices."""
    workdir = tmp_path_factory.mktemp("one_process") / "run"
    status, said = launch(["train", *FIELDS, f"--workdir={workdir}"], devices=2)
    assert status == 0, said
    return workdir


@pytest.mark.parametrize("wrapper", ["pmap", "shard_map"])
def test_two_processes_give_the_loss_curve_of_two_devices_and_evaluate_every_example_once(
    one_process, tmp_path, wrapper
):
    together = (
        *FIELDS,
        f"--config.train.wrapper={wrapper}",
        f"--workdir={tmp_path}",
        f"--coordinator=127.0.0.1:{free_port()}",
        "--num_processes=2",
    )
    processes = [start(["train", *together, f"--process_id={number}"]) for number in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    # The first one speaks for both.
    assert "examples seen" in outputs[0]
    assert "examples seen" not in outputs[1]

    one, two = losses(one_process), losses(tmp_path)
    assert list(one) == list(two)
    assert len(one) == 10
    np.testing.assert_allclose(list(two.values()), list(one.values()), rtol=1e-4)
    ours, theirs = evaluations(tmp_path), evaluations(one_process)
    assert [e[:3] for e in ours] == [e[:3] for e in theirs]
    assert [e[2] for e in ours] == [999, 999, 10_000]
    np.testing.assert_allclose([e[3] for e in ours], [e[3] for e in theirs], rtol=1e-3)


def test_a_signal_to_one_process_stops_and_saves_them_all(tmp_path):
    fields = (
        *FIELDS,
        "--config.train.duration=2000 steps",
        "--config.log.every=5 steps",
        "--config.evaluation.every=2000 steps",
        "--config.network.name=lenet5",
        f"--workdir={tmp_path}",
        f"--coordinator=127.0.0.1:{free_port()}",
        "--num_processes=2",
    )
    processes = [start(["train", *fields, f"--process_id={number}"]) for number in range(2)]
    deadline = time.monotonic() + 120
    while len(losses(tmp_path)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [128 + signal.SIGTERM] * 2, outputs
    (saved,) = (tmp_path / "checkpoints").iterdir()
    assert f"stopped by SIGTERM at step {saved.name} of 2000" in outputs[0]
