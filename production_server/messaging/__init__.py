"""The queues between the web process and the workers: tasks, frames, batches and the lane."""
