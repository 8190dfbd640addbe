# One image for every process of Nexova; the command line says which. hadolint checks this file (tests/deploy).
FROM python:3.11-slim AS build

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/nexova
ENV PATH=/opt/nexova/bin:$PATH
WORKDIR /src

# dependencies first: they change less often than our code, and their layer is the large one
COPY requirements.txt ./
RUN pip install --require-hashes --only-binary :all: -r requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY nexova nexova
COPY schemas schemas
COPY core core
COPY runtime runtime
COPY producer producer
COPY processor processor
COPY trainer trainer
COPY api api
COPY forwarder forwarder
COPY bridge bridge
COPY cli cli
COPY plants plants
RUN pip install --no-deps .


FROM python:3.11-slim

RUN groupadd --system --gid 10001 nexova \
    && useradd --system --uid 10001 --gid nexova --home-dir /home/nexova --create-home nexova \
    && install --directory --owner=nexova --group=nexova /models /var/cache/nexova
COPY --from=build /opt/nexova /opt/nexova

# numba keeps compiled code beside the source, which this user may not write, unless it is told another place; the
# place must be writable even when all is compiled, and keeping it as a volume saves a minute at each start
ENV PATH=/opt/nexova/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/cache/nexova \
    NEXOVA_MODEL_PATH=/models \
    NEXOVA_LOG_FORMAT=json \
    NEXOVA_PROCESSOR__WEB_HOST=0.0.0.0 \
    NEXOVA_FORWARDER__WEB_HOST=0.0.0.0

USER 10001:10001
WORKDIR /home/nexova
EXPOSE 6066
# The first start compiles the rules. A job that serves no port is healthy as long as it runs.
HEALTHCHECK --interval=15s --timeout=6s --start-period=180s --retries=4 CMD ["python", "-m", "runtime.health_probe"]
ENTRYPOINT ["nexova"]
CMD ["--help"]
