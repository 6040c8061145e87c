"""A simulation of workers, queues and toolsets, in simulated seconds: it predicts how long requests wait."""
