"""Measuring: peers, loads, scenarios and human notes. Nothing that is installed imports it."""
