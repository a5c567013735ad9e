#!/bin/sh
# Debian calls this with "configure" and the version before, if there was one; RPM with how many versions there will be.
set -e
install -d -m 0700 -o armorhooks -g armorhooks /var/lib/armorhooks
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # What runs goes on with the new binary; what does not run is not started: without an API key there is nothing to do.
  systemctl try-restart armorhooks.service
fi
if [ "$1" = 1 ] || { [ "$1" = configure ] && [ -z "$2" ]; }; then
  cat <<'NEXT'
armorhooks is installed, and not started yet. Make an organization and an API key, then start it:
  runuser -u armorhooks -- armorhooks org create --name acme --data-dir /var/lib/armorhooks
  runuser -u armorhooks -- armorhooks key create --org ID --data-dir /var/lib/armorhooks
  systemctl enable --now armorhooks
NEXT
fi
