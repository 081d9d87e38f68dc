"""The server's store: schema and migrations, and every SQL statement of server, reporting and command line.

Functions take an open database and neither begin nor end a transaction; the caller holds one around everything that
belongs together (`gateway.database.transaction`).
"""
