#!/usr/bin/env bash
# Installs what the tests drive: clients and servers of the real world. Run again, it only looks.
#
#   scripts/install-test-tools.sh
#
# Debian packages come from the apt sources this machine is configured with, Go tools from the Go
# module proxy it is configured with (go env GOPROXY), at the versions named here, into .cache/bin;
# Python and JavaScript clients from the package indexes pip and npm are configured with, at the versions
# that test/python and test/js name, into .cache/az, .cache/sdk and .cache/js.
# No service is started by the installation. Anything that cannot be had ends the script with an
# error; on a system without apt-get it names what to install by hand and goes on, except in CI.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  gcc libc6-dev    # the race detector
  docker.io        # Docker Engine and its command line
  containerd runc  # containerd with ctr, and what runs its containers
  skopeo podman buildah
  postgresql       # a temporary cluster for each run: scripts/with-postgres.sh
  busybox-static   # what test images are made of
  docker-registry  # a peer for bench/
  iproute2         # a network of its own for az check-health
  azure-cli        # the oldest supported az
  python3-venv nodejs npm # for the newest az, Microsoft's Python and JavaScript clients, Airflow and ZenML
)
tools=(
  github.com/google/go-containerregistry/cmd/crane@v0.22.1
  helm.sh/helm/v3/cmd/helm@v3.22.0
)

say() { printf 'install-test-tools: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

# installed tells whether a package is there, or the program it is for is, as of another origin.
installed() {
  case $1 in
  nodejs) command -v node >/dev/null && return ;;
  npm) command -v npm >/dev/null && return ;;
  esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Debian starts what it installs, unless this program says no.
hold_services() {
  policy=/usr/sbin/policy-rc.d
  [ ! -e "$policy" ] || return 0
  printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
  $root chmod 755 "$policy"
  trap '$root rm -f "$policy"' EXIT
}

install_packages() {
  local missing=() p
  for p in "${packages[@]}"; do installed "$p" || missing+=("$p"); done
  if [ ${#missing[@]} -eq 0 ]; then say "Debian packages: all there"; return; fi
  root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "not root and no sudo; as root: apt-get install ${missing[*]}"
    root=sudo
  fi
  say "from the configured apt sources: ${missing[*]}"
  hold_services
  $root apt-get -qq update || die "apt-get update failed; see /etc/apt/sources.list"
  $root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
}

install_tools() {
  local tool name version
  mkdir -p .cache/bin
  for tool in "${tools[@]}"; do
    version=${tool##*@}
    name=$(basename "${tool%@*}")
    if go version -m ".cache/bin/$name" 2>/dev/null | grep -q "[[:space:]]mod[[:space:]].*[[:space:]]$version[[:space:]]"; then
      say "$name $version: there"
      continue
    fi
    say "through the Go module proxy, built into .cache/bin: $tool"
    GOBIN=$PWD/.cache/bin CGO_ENABLED=0 go install -trimpath "$tool" || die "could not build $tool"
  done
}

# install_python NAME: test/python/NAME.txt as a virtual environment in .cache/NAME.
install_python() {
  local want=test/python/$1.txt at=.cache/$1
  if cmp -s "$want" "$at/installed.txt"; then say "$1: there"; return; fi
  say "through pip, into $at: $(grep -v '^#' "$want" | tr '\n' ' ')"
  rm -rf "$at"
  python3 -m venv "$at" || die "no virtual environment can be made; install python3-venv"
  "$at/bin/pip" install --quiet --disable-pip-version-check -r "$want" || die "pip could not install $want"
  cp "$want" "$at/installed.txt"
}

install_js() {
  if cmp -s test/js/package.json .cache/js/installed.json; then say "JavaScript clients: there"; return; fi
  say "through npm, into .cache/js: Microsoft's JavaScript clients"
  mkdir -p .cache/js
  cp test/js/package.json .cache/js/
  npm install --prefix .cache/js --no-audit --no-fund --no-package-lock --loglevel=error || die "npm could not install test/js/package.json"
  cp test/js/package.json .cache/js/installed.json
}

command -v go >/dev/null || die "no go command; install the Go version go.mod names"
if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  install_packages
elif [ -n "${CI:-}" ]; then
  die "no apt-get here, and CI needs: ${packages[*]}"
else
  say "no apt-get here; tests of what is missing will be skipped. Debian calls it: ${packages[*]}" >&2
fi
install_tools
install_python az
install_python sdk
install_python airflow
install_python zenml
install_js
