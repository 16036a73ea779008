"""The worker process: loads models, answers predictions and computes the chunks of jobs."""
