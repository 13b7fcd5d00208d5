#!/usr/bin/env bash
# Creates .venv beside this file and installs the pinned requirements; does nothing when that is done already.
#
#   bash install_environment.sh
#   bash install_environment.sh --collection   also what scripts/collection.py needs (Ray, Parquet; 150 MB)
#
# ISEG_PYTHON=/path/to/python   the interpreter to build on (default: the best of 3.10-3.13 found)
# ISEG_HASHES=0                 do not compare the packages with their SHA-256 (requirements-hashed.txt)
# ISEG_KAOLIN=0|1               never / in any case install NVIDIA Kaolin (default: where there is an NVIDIA GPU)
#
# The package index, mirror or proxy configured for pip (or uv) is used as it is.
# Exit codes: 0 ready, 2 something the person has to change, 1 installation failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
readonly UV_VERSION=0.13.8
readonly VENV=.venv
readonly STAMP=$VENV/.iseg-installed     # what is installed: compared literally with what is wanted
readonly COLLECTION_STAMP=$VENV/.iseg-collection
readonly UNFINISHED=.venv.unfinished       # outside .venv: it must outlive a half-made or half-removed one
readonly PYTHON=$VENV/bin/python
readonly NEEDED_GB=7

say() { printf '[install] %s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; exit "${2:-2}"; }

# --- which Python -------------------------------------------------------------------------------

# Prints X.Y of an interpreter that this project supports; fails for any other.
supported_version() {
    "$1" -c 'import sys
v = sys.version_info[:2]
print("%d.%d" % v)
sys.exit(not ((3, 10) <= v < (3, 14) and sys.maxsize > 2**32))' 2>/dev/null
}

can_make_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

find_python() {
    local candidate version without_venv=''
    if [ -n "${ISEG_PYTHON:-}" ]; then
        version=$(supported_version "$ISEG_PYTHON") \
            || fail "ISEG_PYTHON=$ISEG_PYTHON is not a 64-bit Python 3.10-3.13."
        can_make_venv "$ISEG_PYTHON" \
            || fail "ISEG_PYTHON=$ISEG_PYTHON cannot create environments: install its venv module (Debian/Ubuntu: sudo apt install python$version-venv)."
        printf '%s\n' "$ISEG_PYTHON"
        return
    fi
    # 3.12 and 3.11 first: every setting, Kaolin included, has wheels for them.
    for candidate in python3.12 python3.11 python3.13 python3.10 python3 python; do
        version=$(supported_version "$candidate") || continue
        if can_make_venv "$candidate"; then
            command -v "$candidate"
            return
        fi
        without_venv=$version
    done
    [ -z "$without_venv" ] \
        || fail "Python $without_venv is here, but cannot create environments: install its venv module (Debian/Ubuntu: sudo apt install python$without_venv-venv) and run this again."
    fail "no 64-bit Python 3.10-3.13 found: install one (or name it: ISEG_PYTHON=/path/to/python) and run this again."
}

# --- which requirements -------------------------------------------------------------------------

has_nvidia_gpu() {
    command -v nvidia-smi >/dev/null 2>&1 || return 1
    case "$(nvidia-smi -L 2>/dev/null || true)" in GPU*) ;; *) return 1 ;; esac
}

# Prints why Kaolin is not to be installed into Python $1, or nothing if it is.
reason_against_kaolin() {
    local version=$1
    case "${ISEG_KAOLIN:-auto}" in
        0) echo 'ISEG_KAOLIN=0'; return ;;
        1) ;;
        auto) has_nvidia_gpu || { echo 'no NVIDIA GPU'; return; } ;;
        *) fail "ISEG_KAOLIN=$ISEG_KAOLIN is not understood: use 0 or 1, or leave it out." ;;
    esac
    [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || { echo "no Kaolin wheel for $(uname -s) $(uname -m)"; return; }
    case "$version" in
        3.10 | 3.11 | 3.12) ;;
        *) echo "no Kaolin wheel for Python $version" ;;
    esac
}

# What the stamp says when $1 (a requirements file) is installed for Python $2. $3 = failed: Kaolin was wanted, but not
# to be had; it is then not tried again until something changes.
stamp_text() { printf 'python %s\n%s %s\n' "$2" "$1" "$3"; cat "$1" "${BASH_SOURCE[0]}"; }

is_installed() { [ -x "$PYTHON" ] && [ -f "$STAMP" ] && [ "$(stamp_text "$1" "$2" "$3")" = "$(cat "$STAMP")" ]; }

# --- installing ---------------------------------------------------------------------------------

# pip's own settings for $1 (index-url, extra-index-url, find-links), from the environment or its files.
pip_setting() {
    local variable value scope
    variable=PIP_$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')
    value=$(printenv "$variable" || true)
    for scope in global install; do
        [ -n "$value" ] || value=$("$PYTHON" -m pip config get "$scope.$1" 2>/dev/null || true)
    done
    printf '%s' "$value" | tr '\n' ' '
}

# uv does not read pip's configuration: hand it over where the person has not configured uv itself.
configure_uv() {
    local setting
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        setting=$(pip_setting index-url)
        [ -z "$setting" ] || export UV_DEFAULT_INDEX="$setting"
    fi
    if [ -z "${UV_INDEX:-}${UV_EXTRA_INDEX_URL:-}" ]; then
        setting=$(pip_setting extra-index-url)
        # pip takes the best version of all its indexes; uv only does so when told.
        [ -z "$setting" ] || export UV_INDEX="$setting" UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
    fi
    if [ -z "${UV_FIND_LINKS:-}" ]; then
        setting=$(pip_setting find-links)
        setting=${setting% }
        [ -z "$setting" ] || export UV_FIND_LINKS="${setting// /,}"
    fi
    if [ -z "${SSL_CERT_FILE:-}" ]; then
        setting=$(pip_setting cert)
        [ -z "$setting" ] || export SSL_CERT_FILE="${setting% }"
    fi
}

# Is pip or uv told to take packages from elsewhere than the public index? Such a place may hold other builds.
has_own_index() {
    [ -n "$(pip_setting index-url)$(pip_setting extra-index-url)$(pip_setting find-links)" ] \
        || [ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_INDEX:-}${UV_EXTRA_INDEX_URL:-}${UV_FIND_LINKS:-}" ]
}

# Installs requirements file $1, by the installer's further arguments: from the list with hashes beside it, where there is one.
install_file() {
    local file=$1 hashed=${1%.txt}-hashed.txt
    shift
    if [ -f "$hashed" ] && [ "${ISEG_HASHES:-1}" != 0 ]; then
        if run_installer "$hashed" --require-hashes "$@"; then
            # Kaolin alone is not in the list: its page publishes no hashes
            [ "$file" != requirements-kaolin.txt ] || run_installer "$file" --no-deps
            return
        fi
        has_own_index || { say "the packages of $hashed could not be installed; ISEG_HASHES=0 does not compare hashes"; return 1; }
        say "the configured index does not serve the files of $hashed: installing the same versions without comparing hashes"
    fi
    run_installer "$file" "$@"
}

run_installer() {
    local file=$1
    shift
    if [ -x "$VENV/bin/uv" ]; then
        "$VENV/bin/uv" pip install --python "$PYTHON" "$@" --requirement "$file" && return
        say 'uv could not install them; trying pip'
    fi
    "$PYTHON" -m pip install --progress-bar off "$@" --requirement "$file"
}

free_kb() { df -Pk . | awk 'NR == 2 { print $4 }'; }
free_gb() { df -Pk . | awk 'NR == 2 { printf "%.1f", $4 / 1e6 }'; }

make_venv() {
    local base
    if [ -d "$VENV" ]; then
        # Ours and broken or half-made: start again. Somebody else's: leave it to them.
        if [ -f "$UNFINISHED" ] || { [ -f "$STAMP" ] && ! supported_version "$PYTHON" >/dev/null; }; then
            say 'the last installation did not finish (or its Python is gone): starting again'
        elif supported_version "$PYTHON" >/dev/null && "$PYTHON" -m pip --version >/dev/null 2>&1; then
            return
        else
            fail "$PWD/$VENV is not a working environment of Python 3.10-3.13: remove it (rm -r \"$PWD/$VENV\") and run this again."
        fi
    fi
    base=$(find_python)
    # No reason to stop: packages that uv has already are linked, and take no room again.
    [ "$(free_kb)" -ge $((NEEDED_GB * 1000 * 1000)) ] \
        || say "only $(free_gb) GB are free on this disk, and up to $NEEDED_GB GB are needed: if it fills up, make room and run this again"
    say "creating $VENV with $("$base" --version) ($base)"
    : > "$UNFINISHED"
    rm -rf "$VENV"
    "$base" -m venv "$VENV"
}

# Also where bytecode is not to be written: without that of the packages every start takes one to two seconds more.
smoke_test() {
    PYTHONDONTWRITEBYTECODE='' "$PYTHON" -c 'import torch, torchvision, segment_anything, numpy, scipy.cluster.hierarchy, scipy.sparse.linalg, scipy.spatial, trimesh, embreex, skimage, matplotlib.pyplot, PIL, tqdm, viser, h5py, yaml, pytest' \
        || { say 'the installed packages do not import'; return 1; }
    [ "$1" != requirements-kaolin.txt ] || "$PYTHON" -c 'import kaolin.render.mesh' \
        || { say 'kaolin does not import'; return 1; }
}

install_packages() {
    local version reason requirements started
    # The usual case: everything is there.
    if [ -x "$PYTHON" ] && [ -f "$STAMP" ] && [ ! -f "$UNFINISHED" ] && version=$(supported_version "$PYTHON"); then
        reason=$(reason_against_kaolin "$version")
        if [ -z "$reason" ]; then
            is_installed requirements-kaolin.txt "$version" '' && return
            # Kaolin failed here before: do not try on every call, unless it is asked for by name.
            [ "${ISEG_KAOLIN:-auto}" != 1 ] && is_installed requirements.txt "$version" failed && return
        else
            is_installed requirements.txt "$version" '' && return
        fi
    fi

    started=$SECONDS
    make_venv
    : > "$UNFINISHED"
    rm -f "$STAMP"
    version=$(supported_version "$PYTHON")
    reason=$(reason_against_kaolin "$version")
    [ -z "$reason" ] || [ "${ISEG_KAOLIN:-auto}" != 1 ] || fail "ISEG_KAOLIN=1, but $reason."

    "$PYTHON" -m pip install --quiet --progress-bar off "uv==$UV_VERSION" \
        || say 'uv is not to be had here: using pip, which takes a few minutes longer'
    configure_uv

    requirements=requirements.txt
    if [ -z "$reason" ]; then
        say 'NVIDIA GPU: installing torch 2.8 with the Kaolin renderer'
        if install_file requirements-kaolin.txt && smoke_test requirements-kaolin.txt; then
            requirements="requirements-kaolin.txt"
        elif [ "${ISEG_KAOLIN:-auto}" = 1 ]; then
            fail 'ISEG_KAOLIN=1, but Kaolin could not be installed (see above). Leave ISEG_KAOLIN out to use the CPU (embree) renderer.' 1
        else
            reason=failed
            say 'Kaolin could not be installed (see above): using the CPU (embree) renderer instead'
        fi
    else
        say "renderer: CPU (embree); Kaolin is left out: $reason"
        reason=''
    fi
    if [ "$requirements" = requirements.txt ]; then
        "$PYTHON" -m pip uninstall --quiet --yes kaolin >/dev/null 2>&1 || true  # built for another torch
        say 'installing the packages (torch is large: a few minutes on a slow connection)'
        if ! install_file requirements.txt || ! smoke_test requirements.txt; then
            fail "the packages could not be installed (see above). Check the network, the disk ($(free_gb) GB free, $NEEDED_GB GB needed) and pip's index configuration, then run this again." 1
        fi
    fi
    # The checkout itself, relative to the folder that Python reads this from: scripts/ import models/, utils/, SAM_repo/.
    printf '../../../..\n' > "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/iseg.pth"
    stamp_text "$requirements" "$version" "$reason" > "$STAMP.new"
    mv "$STAMP.new" "$STAMP"
    rm -f "$UNFINISHED"
    say "ready in $((SECONDS - started)) s"
}

# Ray and Parquet, into an environment that is ready.
install_collection() {
    [ ! -f "$COLLECTION_STAMP" ] || [ "$(cat "$COLLECTION_STAMP")" != "$(cat requirements-collection.txt)" ] || return 0
    say 'installing the packages of collections'
    configure_uv
    if ! install_file requirements-collection.txt --no-deps || ! "$PYTHON" -c 'import ray, pyarrow.parquet'; then
        fail "the packages of collections could not be installed (see above); everything else is ready." 1
    fi
    cp requirements-collection.txt "$COLLECTION_STAMP.new"
    mv "$COLLECTION_STAMP.new" "$COLLECTION_STAMP"
}

main() {
    [ $# -eq 0 ] || [ "$*" = --collection ] || fail "install_environment.sh does not know $*: the one option is --collection."
    if command -v flock >/dev/null 2>&1; then
        exec 9>.venv.lock
        flock -n 9 || { say 'another installation is running: waiting for it'; flock 9; }
    fi
    install_packages
    [ $# -eq 0 ] || install_collection
}

main "$@"
