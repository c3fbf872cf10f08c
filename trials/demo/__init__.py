"""The demo: real flights and real weather through the whole flow, with what really happens on the way.

It does what a producer (send to an inbox topic), a person (commands, the console) and a reader could do, disturbs what
runs (SIGKILL, SIGSTOP), and reads what came of it. It writes no table of the ledger; a test and an import contract see
to that.
"""
