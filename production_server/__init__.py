"""The prediction service: web tier, workers and recorder around a Keras model."""

__version__ = "0.1.0"
