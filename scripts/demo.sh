#!/usr/bin/env bash
# Sets everything up and runs the main job on the hammer: views, feature field, click supervision, decoder, and the three
# published demo queries. Everything goes to demo/hammer/; arguments are handed on to scripts/pipeline.py.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/install_environment.sh"
cd "$root"
exec .venv/bin/python scripts/pipeline.py --obj_path meshes/hammer.obj --out_dir demo/hammer \
    --queries "5141" "5141 61" "5141 -10795" "$@"
