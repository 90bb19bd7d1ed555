"""How many consumers a messenger's traffic needs: a day's arrivals, a queue, workers, an autoscaler.

Pure and seeded: no clock, no file but profiles, no network.
"""
