"""The benchmark: how fast each part is on this machine, beside what people write by hand. See docs/benchmarks.md.

`run` leads; `ground` is a stack of its own, on which each measure runs in a process of its own (`child`). One module a
kind of measure: baselines, limit, admission, publishing, flow, door, verdicts, reading, memory.
"""
