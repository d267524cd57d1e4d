#!/usr/bin/env bash
# Builds the image where no registry can be reached, and prints the directory of its file system:
#   apt install buildah mmdebstrap; bash tests/bench/image.sh
# python:3.13-slim is made of Debian's packages and this machine's certificate authorities.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
base=docker.io/library/python:3.13-slim
authorities=/etc/ssl/certs/ca-certificates.crt

if ! buildah images -q "$base" >/dev/null 2>&1; then
    packages=python3,python3-pip,python3-venv,ca-certificates
    archive=$(mktemp --suffix=.tar)
    trap 'rm "$archive"' EXIT
    mmdebstrap --quiet --variant=minbase --include="$packages" trixie "$archive" \
        http://deb.debian.org/debian >&2
    container=$(buildah from scratch)
    buildah add "$container" "$archive" / >&2
    buildah run "$container" -- ln -s python3 /usr/bin/python
    buildah run "$container" -- rm /usr/lib/python3.13/EXTERNALLY-MANAGED
    buildah copy "$container" "$authorities" "$authorities" >&2
    buildah config --env SSL_CERT_FILE="$authorities" --env PIP_CERT="$authorities" "$container"
    buildah commit --quiet "$container" "$base" >&2
    buildah rm "$container" >&2
fi
buildah build --pull-never --target loqua-host --tag loqua-host . >&2
buildah mount "$(buildah from --pull-never localhost/loqua-host)"
