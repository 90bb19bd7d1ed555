"""Measuring: the workload model and who is measured on it. Imports what it measures; nothing of ours imports it."""
