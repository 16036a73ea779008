"""The worker process: loads models, answers predictions and predicts the chunks of jobs."""
