"""Deterministic simulation: producer, workers and what happens to a bucket meanwhile, on one thread, from one seed.

The program's own producer, worker and reconcile run as coroutines over an S3 and a queue in memory. Before and behind
every call to either, a seeded choice says who goes on, what fails, what is late and who dies. The same seed is the same
schedule, step by step.
"""
