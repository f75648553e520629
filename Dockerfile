# The image of the service and of the worker (docs/operate.md). Nothing is fetched but the base image and what the Python
# package index has: the base is the full Python image because it holds git and a C compiler, which the slim one does not.
#
#   docker build -t parammem .
#   docker build -t parammem-vllm --target vllm .      # vLLM alone: its requirements and Prefect's exclude each other
#
# Another index: --build-arg PIP_INDEX_URL=… (and PIP_EXTRA_INDEX_URL=… for one that has CPU builds of torch).
ARG BASE=python:3.11-bookworm

FROM ${BASE} AS vllm
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ENV PYTHONUNBUFFERED=1 DO_NOT_TRACK=1 VLLM_NO_USAGE_STATS=1 VLLM_ALLOW_RUNTIME_LORA_UPDATING=True
WORKDIR /build
COPY pyproject.toml ./
RUN python -m pip install --no-cache-dir 'pip>=25.1' && python -m pip install --no-cache-dir --group vllm
RUN useradd --create-home --uid 1000 parammem && install -d -m 1777 /home/parammem/.cache/huggingface
ENV HOME=/home/parammem
USER 1000:1000
WORKDIR /repo
ENTRYPOINT ["python", "-m", "vllm.entrypoints.openai.api_server"]

FROM ${BASE}
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ENV PYTHONUNBUFFERED=1 DVC_NO_ANALYTICS=1 GX_ANALYTICS_ENABLED=false PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1 TOKENIZERS_PARALLELISM=false HF_HUB_DISABLE_TELEMETRY=1
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m pip install --no-cache-dir --constraint constraints.txt '.[service]'
# Named volumes start as these folders are: open, since compose.yaml may run this as whoever owns the repository.
RUN useradd --create-home --uid 1000 parammem && install -d -m 1777 /home/parammem /prefect \
    && git config --system --add safe.directory /repo
# The repository is mounted there, and its sources come first: an image that is older than a clone runs the clone's code.
ENV PYTHONPATH=/repo/src:/repo HOME=/home/parammem
USER 1000:1000
WORKDIR /repo
EXPOSE 8010
CMD ["parammem", "up", "--host", "0.0.0.0"]
