#!/bin/sh
# Makes sure that libsodium 1.0.18 or later can be loaded: installs the system's package if it may, else says how.
# Usage: deploy/libsodium.sh PYTHON
set -eu

found() {
  "$1" -c 'from tocsin.oprf import group; group.decode_elements([])' 2>/dev/null
}

found "$1" && exit 0

if command -v apt-get >/dev/null; then install="apt-get install -y libsodium23"
elif command -v dnf >/dev/null; then install="dnf install -y libsodium"
elif command -v apk >/dev/null; then install="apk add libsodium"
elif command -v brew >/dev/null; then install="brew install libsodium"
else
  echo "tocsin: libsodium 1.0.18 or later is missing; install your system's package of it" >&2
  exit 3
fi

case "$install" in
  brew*) may=yes ;;
  *) [ "$(id -u)" = 0 ] && may=yes || may=no ;;
esac

if [ "$may" = yes ]; then
  echo "tocsin: libsodium is missing; running: $install"
  case "$install" in apt-get*) apt-get update -qq ;; esac
  $install >/dev/null
  found "$1" && exit 0
  echo "tocsin: libsodium was installed and still cannot be loaded by $1" >&2
  exit 3
fi
echo "tocsin: libsodium is missing; run: sudo $install" >&2
exit 3
