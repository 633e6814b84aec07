"""Many trials of one experiment: what they differ in, a process for each, and what came of them."""
