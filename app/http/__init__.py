"""HTTP in and out."""

from app.core.hidden_modules import hide

# FastAPI imports it to ask of each parameter whether it is one of Pydantic 1: 2 MiB and a fiftieth of a second, and we have none of those.
hide("pydantic.v1")
