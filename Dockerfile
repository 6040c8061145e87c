FROM python:3.13-slim AS wheels
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-cache-dir --wheel-dir /wheels -c constraints.txt '.[worker,flower]'

FROM python:3.13-slim
# As process 1 it hands signals on before Celery has handlers of its own, and reaps what probes leave.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'release-worker[worker,flower]'
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin worker
WORKDIR /srv
COPY celeryconfig.py ./
# A number, so that Kubernetes can see that it is not root.
USER 10001
ENV PYTHONUNBUFFERED=1

HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["release-worker", "healthcheck"]
# TERM lets what runs finish and gives back what was not started.
ENTRYPOINT ["tini", "--"]
CMD ["celery", "-A", "release_worker", "worker"]
