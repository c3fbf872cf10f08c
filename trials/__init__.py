"""Programs that use Passgate as people do: a demo, a drill of faults, a benchmark. Nothing of it needs them."""
