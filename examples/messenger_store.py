"""People, sessions and lines of the messenger in SQLite."""

import sqlite3
from collections.abc import Callable
from hashlib import scrypt
from hmac import compare_digest
from secrets import token_bytes, token_urlsafe
from typing import Any, TypeVar

import trio

ResultT = TypeVar("ResultT")

TABLES = """
create table if not exists person (name text primary key, salt blob, hash blob, moderator integer);
create table if not exists session (token text primary key, name text references person);
create table if not exists line (id integer primary key, room text, sender text, text text, time text);
create index if not exists line_by_room on line (room, id);
"""


class Store:
    """The database. Each method runs its SQL in a thread, one after the other."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.database.executescript(TABLES)
        self.limiter = trio.CapacityLimiter(1)

    async def run(self, sql: Callable[..., ResultT], *arguments: Any) -> ResultT:
        return await trio.to_thread.run_sync(sql, *arguments, limiter=self.limiter)

    async def log_in(self, name: str, password: str) -> str | None:
        """Return the token of a new session, or None for a wrong password. A new name makes a new person."""
        return await self.run(self._log_in, name, password)

    def _log_in(self, name: str, password: str) -> str | None:
        with self.database as database:
            found = database.execute("select salt, hash from person where name = ?", [name]).fetchone()
            salt = token_bytes(16) if found is None else found[0]
            hashed = scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
            if found is None:
                first = database.execute("select count(*) = 0 from person").fetchone()[0]
                database.execute("insert into person values (?, ?, ?, ?)", [name, salt, hashed, first])
            elif not compare_digest(hashed, found[1]):
                return None
            token = token_urlsafe(16)
            database.execute("insert into session values (?, ?)", [token, name])
            return token

    async def log_out(self, token: str) -> None:
        await self.run(self._change, "delete from session where token = ?", token)

    async def person_of(self, token: str) -> tuple[str, bool] | None:
        """Return the name of the person of a session, and whether it is a moderator."""
        sql = "select name, moderator from session join person using (name) where token = ?"
        rows = await self.run(self._read, sql, token)
        return (rows[0][0], bool(rows[0][1])) if rows else None

    async def add_line(self, room: str, sender: str, text: str) -> dict[str, Any]:
        """Store a line and return it as pages get it."""
        (row,) = await self.run(
            self._change,
            "insert into line (room, sender, text, time) values (?, ?, ?, strftime('%H:%M')) returning id, time",
            room, sender, text,
        )  # fmt: skip
        return {"id": row[0], "from": sender, "text": text, "time": row[1]}

    async def last_lines(self, room: str, count: int) -> list[dict[str, Any]]:
        sql = "select id, sender, text, time from line where room = ? order by id desc limit ?"
        rows = await self.run(self._read, sql, room, count)
        return [dict(zip(("id", "from", "text", "time"), row, strict=True)) for row in reversed(rows)]

    async def delete_line(self, room: str, number: int) -> None:
        await self.run(self._change, "delete from line where room = ? and id = ?", room, number)

    def _read(self, sql: str, *values: object) -> list[Any]:
        return self.database.execute(sql, values).fetchall()

    def _change(self, sql: str, *values: object) -> list[Any]:
        with self.database:
            return self.database.execute(sql, values).fetchall()
