#!/usr/bin/env bash
# Sets everything up and runs the tests. Arguments go to pytest:
#   bash scripts/test.sh                     the fast tests
#   bash scripts/test.sh --slow              every test
#   bash scripts/test.sh tests/test_mesh.py -k order
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/install_environment.sh"
cd "$root"

if [ "${1:-}" = --slow ]; then
    shift
    exec .venv/bin/python -m pytest -q -rs --durations=5 "$@"
fi
exec .venv/bin/python -m pytest -q -rs --durations=5 -m 'not slow' "$@"
