#!/usr/bin/env bash
# What the browser tests of interactive.py need: Playwright in .venv, and Chromium. The page itself needs neither.
#   bash scripts/install_browser.sh
#   .venv/bin/python -m pytest -q tests/test_interactive_browser.py
# ISEG_CHROMIUM=/path/to/chromium: one that is there already.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly PLAYWRIGHT=1.65.2

fail() { printf 'error: %s\n' "$1" >&2; exit 2; }

find_chromium() {
    local candidate
    for candidate in "${ISEG_CHROMIUM:-}" chromium chromium-browser google-chrome; do
        [ -n "$candidate" ] && command -v "$candidate" && return
    done
    return 1
}

bash "$root/install_environment.sh"
"$root/.venv/bin/python" -c "import playwright, importlib.metadata as m; assert m.version('playwright') == '$PLAYWRIGHT'" 2>/dev/null \
    || "$root/.venv/bin/python" -m pip install --quiet --progress-bar off "playwright==$PLAYWRIGHT"

if ! find_chromium >/dev/null; then
    command -v apt-get >/dev/null || fail 'there is no Chromium here: install it, or name it: ISEG_CHROMIUM=/path/to/chromium'
    as_root=''
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null \
        || fail 'Chromium could not be installed with apt-get: install it by hand, or name it: ISEG_CHROMIUM=/path/to/chromium'
fi
echo "browser tests use $(find_chromium)"
