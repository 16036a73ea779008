"""The APIs of the cloud: one session, its clients, and what they return as plain values."""
