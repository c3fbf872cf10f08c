"""The benchmark: how fast each part is on this machine, beside what people write by hand. See docs/benchmarks.md.

`run` leads and `notebook` keeps what is found; `ground` is a stack of its own, on which each measure runs in a process
of its own (`child`, and `workers` where lanes are timed alone). One module a kind of measure: baselines, limit,
admission, publishing, flow, door, verdicts, reading, and the long run with memory and slow, which work `beside` it;
`ends` is how one ends before its time.
`measures` says what they are held against, `report` makes the tables.
"""
