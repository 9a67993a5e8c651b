"""Measurements that take minutes, each a program of its own; results lie in `docs/benchmarks`."""
