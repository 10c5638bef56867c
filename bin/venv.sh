# Sourced by bin/run and bin/test: make .venv and bring it up to the requirements files.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }
fail() { say "$0: $*"; exit 1; }

# Whether packages may be installed with apt here.
can_apt() { [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null; }

# apt_install PACKAGE...: quietly, and without starting any service.
apt_install() {
  say "installing $* with apt"
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1
  fi
  local log status=0
  log=$(mktemp)
  { apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
    >"$log" 2>&1 </dev/null || status=$?
  [ -z "$made" ] || rm -f "$policy"
  [ "$status" = 0 ] || { tail -n 20 "$log" >&2; say "apt could not install $*"; }
  rm -f "$log"
  return "$status"
}

# The first Python of this machine that is new enough.
find_python() {
  local name
  for name in python3 python3.11 python3.12 python3.13 python3.14 python3.15; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  fail "foreman needs Python 3.11 or newer, and here is $(python3 --version 2>/dev/null || echo none)"
}

make_venv() {
  local python
  python=$(find_python)
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    can_apt && apt_install python3-venv ||
      fail "Python's venv module is missing: apt-get install python3-venv"
  fi
  say "making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv || fail ".venv could not be made"
}

# require FILE...: install the requirements files unless exactly these were installed before.
# The stamp is named after its files and holds the hash of all requirements, as one includes another.
require() {
  local stamp hash file wanted=()
  stamp=.venv/.installed-$(echo "$*" | tr -c 'a-z\n' '_')
  .venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv
  hash=$(.venv/bin/python -c 'import hashlib, pathlib, sys
files = sorted(pathlib.Path().glob("requirements*.txt"))
print(sys.version_info[:2], hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest())')
  [ "$(cat "$stamp" 2>/dev/null)" != "$hash" ] || return 0
  for file in "$@"; do wanted+=(-r "$file"); done
  say "installing $* into .venv (only when they change)"
  .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check "${wanted[@]}" ||
    fail "pip could not install the requirements (see above)"
  printf '%s' "$hash" >"$stamp"
}
