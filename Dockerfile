# Steward in one image: server, edge agents, simulated devices. Which of them a container is, its command says.

FROM node:20-slim AS console
WORKDIR /build/api/console
COPY api/console/package.json api/console/package-lock.json api/console/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY api/console ./
RUN npm run build

FROM python:3.11-slim AS packages
COPY requirements/run.txt /run.txt
RUN python -m venv /venv && \
    /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
      --no-deps --require-hashes --only-binary :all: -r /run.txt

FROM python:3.11-slim
# Folders into which `steward secrets` shares: a volume takes the owner of the folder it first covers.
ARG SHARES="broker influxdb server devices"
RUN groupadd --gid 1000 steward && \
    useradd --uid 1000 --gid 1000 --no-create-home --home-dir /data --shell /usr/sbin/nologin steward && \
    install -d -m 700 -o 1000 -g 1000 /data /data/secrets && \
    for share in $SHARES; do install -d -m 700 -o 1000 -g 1000 "/secrets/$share"; done
COPY --from=packages /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY steward.py ./
COPY config config
COPY edge edge
COPY collector collector
COPY api api
COPY simulators simulators
COPY commands commands
COPY deploy deploy
COPY --from=console /build/api/static api/static
RUN python -m compileall -q /app
USER 1000:1000
ENTRYPOINT ["python", "/app/steward.py"]
CMD ["--help"]
