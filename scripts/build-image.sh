#!/usr/bin/env bash
# Builds the container image NAME (acre) of a static binary (bin/acre, built where it is missing): build-image.sh [NAME [BINARY]].
# docker asks no registry for anything: the image is made from nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:-acre} binary=${2:-bin/acre}
[ -x "$binary" ] || make build
if ldd "$binary" >/dev/null 2>&1; then
	echo "build-image: $binary needs libraries that the image has not; make build makes one that needs none" >&2
	exit 1
fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

root=$stage/root
install -D -m 755 "$binary" "$root/usr/bin/acre"
install -d -m 700 "$root/var/lib/acre"
install -d -m 1777 "$root/tmp"
for roots in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
	if [ -r "$roots" ]; then
		install -D -m 644 "$roots" "$root/etc/ssl/certs/ca-certificates.crt"
		break
	fi
done

# All is root's but what acre writes to. The same files make the same image.
find "$root" -exec touch -h -d @0 {} +
tar -C "$root" --sort=name --owner=0 --group=0 --exclude=./var/lib/acre -cf "$stage/root.tar" .
tar -C "$root" --owner=65532 --group=65532 --no-recursion -rf "$stage/root.tar" ./var/lib/acre
rm -rf "$root"
docker build --network none --tag "$name" --file Dockerfile "$stage"
