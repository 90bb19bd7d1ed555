"""Measuring: the workload model and who is measured on it. Nothing of ours imports it."""
