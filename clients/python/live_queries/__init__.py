"""Keeps the result of a query up to date: a client of the PostgreSQL extension live_queries.

    from live_queries import live

    for rows in live("dbname=shop", "SELECT id, total FROM orders WHERE customer_id = $1", [42]):
        print(rows)

`live_queries.aio` has the same for asyncio.
"""

from .transport import check_psycopg

check_psycopg()

from .calls import Change  # noqa: E402  # after the check
from .commands import Times  # noqa: E402
from .errors import LiveQueryClosed, LiveQueryError  # noqa: E402
from .sync import Connection, LiveQuery, connect, live  # noqa: E402

__all__ = ["Change", "Connection", "LiveQuery", "LiveQueryClosed", "LiveQueryError", "Times", "connect", "live"]
__version__ = "1.0.0"
