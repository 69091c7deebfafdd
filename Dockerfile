# Workers and command line without the embedded services: those are containers of their own, see docker-compose.yml.
FROM python:3.11.13-slim-bookworm AS build
WORKDIR /app
COPY requirements-bootstrap.lock requirements-runtime.lock ./
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
      -r requirements-runtime.lock
COPY . .
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation -e . \
 && /opt/venv/bin/pip uninstall --yes uv setuptools

FROM python:3.11.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /home/dawsos --create-home --shell /usr/sbin/nologin dawsos
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /home/dawsos
USER 10001:10001
# The description of our own agents, made once: a second of CPU and 40 MB less for every process that computes nothing.
RUN dawsos capabilities --json > /dev/null
ENTRYPOINT ["dawsos"]
CMD ["--help"]
