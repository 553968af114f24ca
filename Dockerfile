# Whisker in a container: docker build -t whisker . && docker run -p 8000:8000 whisker
# A checkpoint of your own: docker run -p 8000:8000 -v ./mine.safetensors:/checkpoint.safetensors:ro whisker
# The same base for ever: --build-arg BASE=python@sha256:DIGEST
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# Which PyTorch build: cpu, or cu130 and the like for NVIDIA GPUs. Empty: whatever the package index offers by default.
# All files that are installed with `cpu` are pinned by their hashes; a build for GPUs by its version alone.
ARG WHISKER_TORCH=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/whisker
# PyTorch is most of the image and changes least: it has a layer of its own.
COPY constraints.txt requirements-torch.txt ./
RUN if [ "$WHISKER_TORCH" = cpu ]; then pinned='--require-hashes --requirement requirements-torch.txt'; \
    else pinned='--constraint constraints.txt torch'; fi \
    && /opt/whisker/bin/pip install --quiet --no-deps \
        ${WHISKER_TORCH:+--index-url https://download.pytorch.org/whl/${WHISKER_TORCH}} $pinned \
    && rm -rf /opt/whisker/lib/python3*/site-packages/torch/include \
              /opt/whisker/lib/python3*/site-packages/torch/test
COPY requirements-image.txt ./
RUN /opt/whisker/bin/pip install --quiet --no-deps --require-hashes --requirement requirements-image.txt \
    && if [ "$WHISKER_TORCH" != cpu ]; then /opt/whisker/bin/pip install --quiet --constraint constraints.txt torch; fi
COPY pyproject.toml LICENSE NOTICE ./
COPY wheels/whisker-vision.md wheels/
COPY whisker whisker
COPY app app
COPY model model
COPY training training
# Built with the setuptools that is pinned, not with one fetched for the purpose.
RUN /opt/whisker/bin/pip install --quiet --no-deps --no-build-isolation . \
    && /opt/whisker/bin/pip uninstall --quiet --yes pip

FROM ${BASE}
COPY --from=build /opt/whisker /opt/whisker
COPY model/checkpoints/cats-dogs.safetensors /checkpoint.safetensors
# One malloc arena a thread makes memory grow with the threads; two are enough for ours.
ENV PATH=/opt/whisker/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    WHISKER_CACHE=/cache \
    WHISKER_CHECKPOINT=/checkpoint.safetensors
# For what loading a checkpoint comes to, if it can be written: a container that is started again starts faster.
RUN mkdir --mode 1777 /cache
# By number, as Kubernetes' runAsNonRoot asks; any other user will do, too, and nothing else is written.
USER 10001:10001
EXPOSE 8000
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
LABEL org.opencontainers.image.title="Whisker" \
      org.opencontainers.image.description="Train on folders of photos, serve over HTTP, know which answers to trust." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
# At the port of the variables that `whisker serve` follows; an address is one that Kubernetes gives a Service.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; given = (os.environ.get(it, '').strip() for it in ('WHISKER_PORT', 'AIP_HTTP_PORT', 'SAGEMAKER_BIND_TO_PORT', 'PORT')); r.urlopen(f\"http://127.0.0.1:{next(filter(str.isdigit, given), 8000)}/readyz\", timeout=2)"]
STOPSIGNAL SIGTERM
# `docker run IMAGE` serves, and so does `docker run IMAGE serve`, which is what SageMaker says.
ENTRYPOINT ["whisker"]
CMD ["serve"]
