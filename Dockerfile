# The API. MongoDB comes from outside, by MONGODB_URL: see compose.yaml and docs/deployment.md.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app

# Without the tools of development, and without the MongoDB that development brings along.
COPY requirements.txt .
RUN sed -e '/^# Tests and checks/,$d' -e '/^fiftyone/d' requirements.txt > needed.txt \
    && pip install -r needed.txt \
    && rm needed.txt

COPY backend backend
COPY seed seed

RUN useradd --system --uid 10001 --no-create-home clinic \
    && install --directory --owner clinic data
USER clinic

EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=3s --start-period=40s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8000)}/health', timeout=2)"]

CMD ["python", "-m", "backend", "serve", "--host", "0.0.0.0"]
