"""The backplane on PostgreSQL.

Read in this order:

* ``backplane``: the class that users make, from a URL.
* ``libpq``: PostgreSQL's own client library, driven by trio.
* ``schema``: the tables and statements.
* ``link``: requests as statements, messages as notifications.
"""
