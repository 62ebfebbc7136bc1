"""Benchmarks: each measures one budget beside its reference, in one run, on one machine."""
