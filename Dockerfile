# The daemon for CPUs. Two stages: what builds stays behind, what runs has no compiler, no pip cache and no root.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src

# Dependencies first: they change less often than the code, so that a rebuild usually begins after them.
COPY deploy/image/consumer.lock deploy/image/build.lock deploy/image/
RUN python -m venv /opt/sttd \
    && /opt/sttd/bin/pip install --require-hashes --no-deps -r deploy/image/consumer.lock \
    && pip install --require-hashes --no-deps -r deploy/image/build.lock

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY consumer consumer
COPY sttd sttd
RUN pip wheel --no-build-isolation --no-deps --wheel-dir dist . \
    && /opt/sttd/bin/pip install --no-deps --no-index dist/*.whl \
    && /opt/sttd/bin/pip check \
    && /opt/sttd/bin/pip uninstall --yes pip setuptools


FROM python:3.11-slim-bookworm AS cpu
LABEL org.opencontainers.image.title="sttd" \
      org.opencontainers.image.description="Speech-to-text daemon for voice notes: audio in over RabbitMQ, transcripts back" \
      org.opencontainers.image.licenses="MIT"

RUN groupadd --gid 10001 sttd \
    && useradd --uid 10001 --gid sttd --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sttd \
    && install --directory --owner sttd --group sttd /models
COPY --from=build /opt/sttd /opt/sttd

# All interfaces of the container; what the host shows of it is compose's business.
ENV PATH=/opt/sttd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/models/.hub \
    STTD_MODEL_CACHE=/models \
    STTD_SIDE_HOST=0.0.0.0 \
    STTD_SIDE_PORT=9464 \
    STTD_LOG_FORMAT=json

USER sttd
WORKDIR /tmp
VOLUME /models
EXPOSE 9464
STOPSIGNAL SIGTERM

# Not healthy until the model is loaded and the consumer registered; a first download may take a while.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['STTD_SIDE_PORT']}/readyz\", timeout=2)"]

ENTRYPOINT ["sttd"]
CMD ["serve"]
