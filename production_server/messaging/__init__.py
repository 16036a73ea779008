"""Everything between the web process and a model: queues, tasks, workers, the coalescing lane."""
