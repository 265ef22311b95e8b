"""People, sessions and lines in a file of SQLite."""

import secrets
import sqlite3
from hashlib import scrypt
from hmac import compare_digest

TABLES = """
create table if not exists person (name text primary key, salt blob, hash blob);
create table if not exists session (token text primary key, name text);
create table if not exists line (id integer primary key, room text, name text, text text);
"""


class Store:
    """The database. Its methods wait for the disk: call them in a thread."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.database.executescript(TABLES)

    def log_in(self, name: str, password: str) -> str | None:
        """Return the token of a new session, or None for a wrong password. A new name makes a new person."""
        with self.database:
            person = self.database.execute("select salt, hash from person where name = ?", [name]).fetchone()
            salt = secrets.token_bytes(16) if person is None else person[0]
            hashed = scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
            if person is None:
                self.database.execute("insert into person values (?, ?, ?)", [name, salt, hashed])
            elif not compare_digest(hashed, person[1]):
                return None
            token = secrets.token_urlsafe(16)
            self.database.execute("insert into session values (?, ?)", [token, name])
            return token

    def name_of(self, token: str) -> str | None:
        """Return the name of the person who has logged in with this token."""
        row = self.database.execute("select name from session where token = ?", [token]).fetchone()
        return None if row is None else str(row[0])

    def add_line(self, room: str, name: str, text: str) -> None:
        with self.database:
            self.database.execute("insert into line (room, name, text) values (?, ?, ?)", [room, name, text])

    def last_lines(self, room: str, count: int) -> list[dict[str, str]]:
        rows = self.database.execute(
            "select name, text from line where room = ? order by id desc limit ?", [room, count]
        ).fetchall()
        return [{"from": name, "text": text} for name, text in reversed(rows)]
