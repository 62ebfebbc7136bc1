"""The processes that benchmarks start: each reads one JSON document and writes one."""
