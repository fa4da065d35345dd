#!/usr/bin/env bash
# Builds the image, starts the whole stack with the default weights under a name and on a port
# of its own, runs responses through it, and takes everything down again. `make compose-test`.
# Needs a running Docker engine with compose v2; anything that goes wrong is a non-zero exit.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
START_TIMEOUT_S=600

fail() {
  echo "compose-test: $*" >&2
  exit 1
}

require_engine() {
  command -v docker >/dev/null || fail "docker is not installed"
  docker info >/dev/null 2>&1 ||
    fail "no Docker engine answers (docker info): is it running, and may this user use it?"
  docker compose version >/dev/null 2>&1 ||
    fail "docker has no compose v2 plugin (docker compose version)"
}

# The stack under test has the defaults, whatever the shell or .env say.
use_own_settings() {
  unset "${!ANTIPHON_@}" "${!COMPOSE_@}" POSTGRES_PASSWORD
  export COMPOSE_PROJECT_NAME="antiphon-test-$$"
  export ANTIPHON_IMAGE="antiphon:test-$$"
  ANTIPHON_PORT=$(free_port)
  export ANTIPHON_PORT
}

free_port() {
  "$PYTHON" -c 'import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1])'
}

# Where pip is told of a folder with wheels (find-links), the image takes torch from there
# rather than the several gigabytes of the default build.
offer_local_torch() {
  local torch
  torch=$(grep '^torch==' requirements-torch.txt)
  if "$PYTHON" -m pip download --quiet --no-index --no-deps --python-version 3.11 \
    --only-binary :all: --dest deploy/wheels "$torch" 2>/dev/null; then
    echo "compose-test: $torch comes from a local wheel"
  fi
}

compose() {
  docker compose --env-file /dev/null "$@"
}

tear_down() {
  local status=$?
  trap - EXIT INT TERM
  if [ "$status" -ne 0 ]; then
    compose ps --all || true
    compose logs --no-color --tail 100 || true
    echo "compose-test: FAILED" >&2
  fi
  compose down --volumes --remove-orphans --timeout 10 || true
  docker image rm --force "$ANTIPHON_IMAGE" >/dev/null 2>&1 || true
  exit "$status"
}

require_engine
use_own_settings
offer_local_torch
trap tear_down EXIT
trap 'exit 130' INT TERM
compose build
compose up --detach --wait --wait-timeout "$START_TIMEOUT_S"
"$PYTHON" deploy/smoke.py "http://127.0.0.1:$ANTIPHON_PORT"
echo "compose-test: passed"
