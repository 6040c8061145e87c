FROM python:3.13-slim

WORKDIR /srv
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir -c constraints.txt '.[flower]'
COPY celeryconfig.py ./

RUN useradd --create-home worker
USER worker

# TERM lets what runs finish and gives back what was not started.
CMD ["celery", "-A", "release_worker", "worker"]
