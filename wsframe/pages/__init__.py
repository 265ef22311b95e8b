"""Plain HTTP on the same port: ``routes`` by path, and ``static`` files and folders.

Handlers take a :class:`Request` and return a :class:`Response`; nothing in here knows the
server, a socket or a WebSocket.
"""
