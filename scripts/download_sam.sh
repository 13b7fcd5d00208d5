#!/usr/bin/env bash
# Fetch official SAM checkpoints into SAM_repo/model_checkpoints/ and verify their SHA-256.
#   bash scripts/download_sam.sh                  # vit_h, the paper's (2.4 GB)
#   bash scripts/download_sam.sh vit_b vit_l      # 0.4 GB, 1.2 GB
# SAM_CHECKPOINT_DIR: another folder; SAM_DOWNLOAD_BASE: a mirror of the same files.
set -euo pipefail

folder="${SAM_CHECKPOINT_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/SAM_repo/model_checkpoints}"
base="${SAM_DOWNLOAD_BASE:-https://dl.fbaipublicfiles.com/segment_anything}"

fail() { echo "error: $*" >&2; exit 2; }

checksum() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

fetch() {
    local model="$1" file sha
    case "$model" in
        vit_h) file=sam_vit_h_4b8939.pth sha=a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e ;;
        vit_l) file=sam_vit_l_0b3195.pth sha=3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622 ;;
        vit_b) file=sam_vit_b_01ec64.pth sha=ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912 ;;
        *) fail "unknown model '$model'; choose vit_h, vit_l or vit_b" ;;
    esac
    if [ -f "$folder/$file" ] && [ "$(checksum "$folder/$file")" = "$sha" ]; then
        echo "$model: $folder/$file is there and whole"
        return
    fi
    # The partial file keeps its name, so that an interrupted download goes on where it stopped.
    curl --fail --location --retry 3 --continue-at - --output "$folder/$file.part" "$base/$file" \
        || fail "could not download $base/$file; check the connection and run the same command again"
    if [ "$(checksum "$folder/$file.part")" != "$sha" ]; then
        rm -f "$folder/$file.part"
        fail "$file has the wrong checksum and was removed; run the same command again"
    fi
    mv "$folder/$file.part" "$folder/$file"
    echo "$model: $folder/$file"
}

command -v curl >/dev/null || fail "curl is needed to download"
[ $# -gt 0 ] || set -- vit_h
mkdir -p "$folder"
for model in "$@"; do fetch "$model"; done
