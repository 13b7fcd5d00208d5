#!/usr/bin/env bash
# Sets everything up; checks style, import directions and types; runs the tests on two cores. Arguments go to pytest:
#   bash scripts/test.sh                     all checks and the fast tests
#   bash scripts/test.sh --slow              all checks and every test
#   bash scripts/test.sh tests/test_mesh.py -k order
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/install_environment.sh"
cd "$root"
export OMP_NUM_THREADS=1  # two processes share the cores
unset PYTHONDONTWRITEBYTECODE  # the tests start many

.venv/bin/ruff check --quiet .
.venv/bin/ruff format --check --quiet .
.venv/bin/basedpyright --level error
if [ "${1:-}" = --slow ]; then
    shift
    exec .venv/bin/python -m pytest -q -rs -n 2 --dist worksteal --durations=5 "$@"
fi
exec .venv/bin/python -m pytest -q -rs -n 2 --dist worksteal --durations=5 -m 'not slow' "$@"
