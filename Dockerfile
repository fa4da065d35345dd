# One image for every process of Antiphon: `./antiphon api`, `worker`, `maintenance`, `migrate`;
# the same with a C compiler for workers on GPUs (`--target gpu`), and with vLLM (`--target vllm`).
FROM python:3.11-slim AS antiphon

# An index of PyTorch builds, for another build than the default one; see deploy/README.md.
ARG TORCH_INDEX_URL=""
# requirements-otel.txt, to send traces.
ARG REQUIREMENTS=requirements.txt

RUN useradd --system --uid 10001 --home-dir /tmp --no-create-home antiphon \
 && install --directory --owner=antiphon /data

WORKDIR /app

# Before the code, so that a change of code does not install the dependencies again.
COPY ${REQUIREMENTS} requirements-torch.txt ./
RUN --mount=type=bind,source=deploy/wheels,target=/wheels \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --root-user-action=ignore --require-hashes --no-deps -r ${REQUIREMENTS} \
 && pip install --root-user-action=ignore --find-links /wheels \
    ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} -r requirements-torch.txt \
 && pip check

# Owned by the user who runs it: a checkout that only its owner can read works too.
# alembic reads its settings from pyproject.toml.
COPY --chown=antiphon antiphon pyproject.toml ./
COPY --chown=antiphon migrations migrations/
COPY --chown=antiphon models models/
COPY --chown=antiphon cli cli/
COPY --chown=antiphon worker worker/
COPY --chown=antiphon api api/

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    HF_HOME=/data/huggingface \
    ANTIPHON_DATA_DIR=/data

USER antiphon
EXPOSE 8000
CMD ["./antiphon", "api"]

# Triton, whose kernels attend on GPUs, builds the module that launches them.
FROM antiphon AS gpu
USER root
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
USER antiphon

# Workers with vLLM, whose versions of some packages differ; it compiles, too.
FROM gpu AS vllm
USER root
COPY requirements-vllm.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --root-user-action=ignore --require-hashes --no-deps -r requirements-vllm.txt
ENV ANTIPHON_ENGINE=vllm
USER antiphon

# What is built where no target is named.
FROM antiphon
