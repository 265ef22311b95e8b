"""Hooks use Redis by coredis, which runs on trio: a high score list that outlives the server."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import coredis

import wsframe
from wsframe import Client, Resource, register_global_resource


class Scores(Resource):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
        async with coredis.Redis.from_url(url, decode_responses=True) as self.redis:
            yield

    async def client_connected(self, client: Client) -> None:
        await self.send_best(client)

    async def received_text(self, client: Client, message: str) -> None:
        name, _, points = message.partition(" ")
        await self.redis.zincrby("scores", name, int(points))
        for each in self.clients:
            await self.send_best(each)

    async def send_best(self, client: Client) -> None:
        best = await self.redis.zrange("scores", 0, 9, rev=True, withscores=True)
        client.send_json([[found.member, found.score] for found in best])


register_global_resource("/scores", Scores())

if __name__ == "__main__":
    wsframe.run(started=lambda server: print("Serving at", *server.addresses))
