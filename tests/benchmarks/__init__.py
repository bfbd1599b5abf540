"""Figures of the worker, measured on real processes: `python -m tests.benchmarks NAME`, or `all`."""
