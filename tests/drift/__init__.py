"""Drift: the broker is no more what a window was judged against, or is to be. One table, and each row done for real."""
