"""The Tocsin service. Its version is here only; pyproject.toml and the published schema read it."""

__version__ = "0.1.0"
