"""The trainer: runs what takes Keras and time, but does not serve: trainings and uploads."""
