#!/bin/sh
# Before the files are unpacked, so that they can belong to the user.
set -e
if ! getent passwd armorhooks >/dev/null; then
  shell=/usr/sbin/nologin
  [ -x "$shell" ] || shell=/sbin/nologin
  useradd --system --user-group --no-create-home --home-dir /var/lib/armorhooks --shell "$shell" armorhooks
fi
