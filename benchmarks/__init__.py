"""What the parts of a training step cost, as ratios within one run: `python -m benchmarks`."""
