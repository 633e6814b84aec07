"""A batch worked through in parts whose gradients are added, written out or looped over by `lax.scan`."""

from benchmarks.experiment import load, training
from benchmarks.measuring import Result, Row, alternate


def run(quick: bool) -> Result:
    """LeNet-5 with its batch of 128 in 1, 2 and 4 parts."""
    variants = [(1, "whole")]
    for parts in (2,) if quick else (2, 4):
        variants += [(parts, "unrolled"), (parts, "looped")]
    contestants = {}
    for parts, kind in variants:
        mapped = load(f"train.gradient_accumulation={parts}").mapped_step(unroll_microbatches=kind != "looped")
        contestants[f"{parts} {kind}"] = training(mapped, load().state(), load().batches())
    timings = alternate(contestants, seconds=0.5 if quick else 15)
    whole = timings["1 whole"]
    rows: list[Row] = [
        {
            "parts": parts,
            "kind": kind,
            "ms_a_step": timings[f"{parts} {kind}"].median * 1e3,
            **timings[f"{parts} {kind}"].over(whole),
            "compile_s": timings[f"{parts} {kind}"].first,
        }
        for parts, kind in variants
    ]
    most = variants[-1][0]
    unrolled, looped = (timings[f"{most} {kind}"].median / whole.median for kind in ("unrolled", "looped"))
    return Result(
        "Gradient accumulation, time per step against the whole batch at once (LeNet-5, batch 128)",
        rows,
        f"{most} parts take {unrolled:.2f} of the time of the whole batch unrolled, and {looped:.2f} of it looped",
    )
