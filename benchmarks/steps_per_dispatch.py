"""Several steps in one call of the device, written out or looped over by `lax.scan`."""

from benchmarks.experiment import load, training
from benchmarks.measuring import Result, Row
from convnets.analysis.timing import alternate


def run(quick: bool) -> Result:
    """LeNet-5 at 1, 2, 4 and 8 steps a call, with large and small batches."""
    rows: list[Row] = []
    found = []
    for batch_size in (128,) if quick else (128, 16):
        experiment = load(f"train.batch_size={batch_size}")
        variants = [(1, "one step")]
        for steps in (2,) if quick else (2, 4, 8):
            variants += [(steps, "unrolled"), (steps, "looped")]
        contestants = {
            f"{steps} {kind}": training(
                experiment.mapped_step(unroll_steps=kind != "looped"), load().state(), experiment.batches(steps)
            )
            for steps, kind in variants
        }
        timings = alternate(contestants, seconds=0.5 if quick else 12)
        one = timings["1 one step"]
        for steps, kind in variants:
            timing = timings[f"{steps} {kind}"]
            rows.append(
                {
                    "batch_size": batch_size,
                    "steps_a_call": steps,
                    "kind": kind,
                    "ms_a_step": timing.median / steps * 1e3,
                    **timing.over(one, steps),
                    "compile_s": timing.first,
                }
            )
        most = variants[-1][0]
        unrolled, looped = (timings[f"{most} {kind}"].median / most / one.median for kind in ("unrolled", "looped"))
        found.append(f"at batch {batch_size}, {most} steps a call take {unrolled:.2f} unrolled and {looped:.2f} looped")
    return Result(
        "Steps a call, time per step against one step a call (LeNet-5)",
        rows,
        "; ".join(found) + " of the time of one step a call",
    )
