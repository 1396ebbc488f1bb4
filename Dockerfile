# An image with gangen for every node of a cluster: what deploy/*.yaml run, and what --image-has-gangen counts on.
#
#   docker build -t REGISTRY/gangen:0.1.0 .                           # CPU
#   docker build -t REGISTRY/gangen:0.1.0-gpu --build-arg DEVICE=gpu .
#
# Checked without an engine (tests/contract/test_dockerfile.py): the instructions, their shell, what they copy, and that
# the package builds from that alone. Not checked: the base image itself.

ARG DEVICE=cpu

# Ray's own image: it has what KubeRay's probes and Ray's launcher look for. Its version is that of requirements.lock.
FROM rayproject/ray:2.60.0-py311-${DEVICE}

ARG DEVICE

WORKDIR /home/ray/gangen

# The pinned packages in a layer of their own: they change less often than the code.
COPY --chown=1000:100 requirements.lock ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements.lock

COPY --chown=1000:100 pyproject.toml README.md LICENSE ./
COPY --chown=1000:100 jobs ./jobs
COPY --chown=1000:100 ganmodel ./ganmodel

# Built by the setuptools of the lock. The GPU extra adds TensorFlow's CUDA libraries and nothing else.
RUN python -m pip install --no-cache-dir --no-deps --no-build-isolation . && \
    if [ "${DEVICE}" = gpu ]; then python -m pip install --no-cache-dir --no-build-isolation ".[gpu]"; fi && \
    gangen --version

# A Ray that is started in this image asks for a token, whoever starts it.
ENV RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    TF_CPP_MIN_LOG_LEVEL=3

WORKDIR /home/ray
USER 1000
