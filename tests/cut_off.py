"""A test that its time limit cuts off in a query leaves the connection in the middle of it, for all tests after it."""

from django.db import connection
from psycopg.pq import TransactionStatus


def let_go_of_a_cut_off_query() -> None:
    """Ends the connection where a query of it still runs; Django opens the next one by itself."""
    inner = connection.connection
    if inner is not None and inner.info.transaction_status is TransactionStatus.ACTIVE:
        connection.close()
