"""Messaging between the web tier, the workers and the recorder, through RabbitMQ."""
