"""A batch worked through in parts whose gradients are added, written out or looped over by `lax.scan`."""

from benchmarks.experiment import load, training
from benchmarks.measuring import Result, Row
from convnets.analysis.timing import alternate


def run(quick: bool) -> Result:
    """LeNet-5 with its batch of 128 in 1, 2 and 4 parts."""
    variants = [(1, "whole")]
    variants += [(2, "unrolled")] if quick else [(2, "unrolled"), (2, "looped"), (4, "unrolled"), (4, "looped")]
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
    found = [f"{parts} parts {kind} {timings[f'{parts} {kind}'].median / whole.median:.2f}" for parts, kind in variants]
    return Result(
        "Gradient accumulation, time per step against the whole batch at once (LeNet-5, batch 128)",
        rows,
        f"of the time of the whole batch at once take {', '.join(found[1:])}",
    )
