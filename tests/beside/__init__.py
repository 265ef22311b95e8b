"""The programs of docs/beside: wsframe with asyncio, FastAPI, Starlette and Django in one process."""
