"""An async app that edits tools and asks for releases in its own transactions.

uvicorn app:app
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from release_worker import AsyncReleaseClient
from release_worker.errors import ReleaseWorkerError, ResultTimeout, ToolsetNotFound

engine = create_async_engine(os.environ["RELEASE_WORKER_DATABASE_URL"])
releases = AsyncReleaseClient.from_env()


@asynccontextmanager
async def until_it_ends(_app: FastAPI) -> AsyncGenerator[None, None]:
    async with releases:
        yield
    await engine.dispose()


app = FastAPI(lifespan=until_it_ends)


class NewName(BaseModel):
    name: str


@app.put("/toolsets/{organization}/{project}/{toolset}", status_code=202)
async def rename(
    organization: str, project: str, toolset: str, new: NewName, idempotency_key: str | None = Header(None)
) -> dict[str, str]:
    """Rename a toolset and release it: both happen, or neither."""
    path = f"{organization}/{project}/{toolset}"
    async with AsyncSession(engine) as session, session.begin():
        try:
            toolset_ids = await releases.editing(session, path)
            values = {"name": new.name, "id": toolset_ids.toolset_id}
            await session.execute(text("UPDATE toolsets SET name = :name WHERE id = :id"), values)
            handle = await releases.create_release(path, actor="api", idempotency_key=idempotency_key, session=session)
        except ToolsetNotFound as error:
            raise HTTPException(404, str(error)) from error
    return {"request": handle.id}


@app.get("/requests/{request_id}")
async def outcome(request_id: str) -> dict[str, object]:
    """How a request ended, or how far it is."""
    try:
        handle = await releases.handle(request_id)
        result = await handle.result(timeout=10)
    except ResultTimeout as error:
        return {"status": error.details["status"]}
    except ReleaseWorkerError as error:
        return {"status": "failed", "error": type(error).__name__, "message": str(error)}
    return {"status": "succeeded", "result": result.model_dump(mode="json")}
