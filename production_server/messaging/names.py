"""The names of exchanges, queues and tasks in RabbitMQ.

The standard library is enough to import this module: the program that adds worker VMs uses it too.
"""

from __future__ import annotations

# Takes tasks, for the queues below.
EXCHANGE = "stackserve"
# Takes what workers send back: answers, by the name of a web process's reply queue, and outcomes.
ANSWERS = "stackserve.answers"

PREDICT_QUEUE = "stackserve.predict"
JOBS_QUEUE = "stackserve.jobs"
RESULTS_QUEUE = "stackserve.results"
# Takes the worker VMs' requests for models.
MODELS_QUEUE = "stackserve.models"

# The RabbitMQ account of a worker VM is this and its name.
ACCOUNT_PREFIX = "worker-"

PREDICT = "stackserve.predict"
PREDICT_CHUNK = "stackserve.predict_chunk"
RECORD_CHUNK = "stackserve.record_chunk"

# Where a task names the requests that it comes from: a batch in its body, a chunk in its headers.
REQUEST_IDS = "request_ids"

# Remote control: questions go to every process, replies to the one that asked.
CONTROL = "stackserve"
QUESTIONS = f"{CONTROL}.pidbox"
REPLIES = f"reply.{CONTROL}.pidbox"


def worker_node(number: int, name: str) -> str:
    """The Celery node of a worker process on the worker VM of this name."""
    return f"worker{number}@{name}"


def question_queue(node: str) -> str:
    """The queue from which a Celery node reads questions."""
    return f"{node}.{QUESTIONS}"


def model_queue(node: str) -> str:
    """The queue from which a Celery node on a worker VM reads parts of models."""
    return f"{node}.{MODELS_QUEUE}"
