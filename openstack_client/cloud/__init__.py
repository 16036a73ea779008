"""The cloud's APIs: one session, its clients, and their results as plain values."""
