"""`/runs/…`: the list, one run with its tabs, windows and verdicts, and its acts; `/receipts/…`: one receipt."""
