"""The drill: faults played to an embedded stack of its own, and whether anything was lost, doubled or falsely green.

Like the demo it does what a producer, an operator and a broken machine could do, and only reads the ledger.
"""
