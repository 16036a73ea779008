"""Keeps model versions in an object store: Swift, or anything that speaks S3."""
