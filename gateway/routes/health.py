"""Whether the gateway lives, and whether it can serve."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["health"])


@router.get("/health", operation_id="getHealth", summary="Whether the process lives")
async def health() -> dict[str, str]:
    """Return at once, whatever else is broken."""
    return {"status": "ok"}
