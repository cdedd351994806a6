# The image holds the checkout's layout with its .venv beside it, so that code finds migrations/ and alembic.ini as in development.
FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
WORKDIR /opt/tocsin
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv .venv
COPY requirements.lock ./
RUN .venv/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml alembic.ini README.md LICENSE ./
COPY migrations migrations
COPY app app
COPY programs programs
# The build backend is in the lock: this step fetches nothing.
RUN .venv/bin/pip install --no-deps --no-build-isolation --no-index -e . \
    && .venv/bin/python -m compileall -q app programs migrations

FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
# A fixed number, so that secrets on the host can be made readable to it.
RUN groupadd --gid 10001 tocsin \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/tocsin --shell /usr/sbin/nologin tocsin \
    && install -d -o tocsin -g tocsin -m 0750 /var/lib/tocsin
COPY --from=build /opt/tocsin /opt/tocsin
ENV PATH=/opt/tocsin/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TOCSIN_HOST=0.0.0.0 \
    TOCSIN_VAR_DIR=/var/lib/tocsin
WORKDIR /opt/tocsin
USER tocsin
VOLUME /var/lib/tocsin
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('TOCSIN_PORT', '8000')}/healthz\", timeout=4)"]
CMD ["tocsin", "serve"]
