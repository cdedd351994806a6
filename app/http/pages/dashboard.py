"""The routes of the dashboard's pages, of what they load, and of what people do on them."""

from fastapi import APIRouter

from app.http.pages import acts, alerts, assets, jobs, live, messages, now, proof, reading, routing

router = APIRouter(include_in_schema=False)
for part in (assets, now, alerts, jobs, messages, proof, live, acts, reading, routing):
    router.routes.extend(part.router.routes)
