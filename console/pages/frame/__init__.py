"""What is around every page and shared: shell, contexts, looks of states, charts, acts; `/me/` and `/patterns/`."""
