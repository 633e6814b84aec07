"""State, the mapped step, optimizers and schedules, checkpoints, and the loop."""
