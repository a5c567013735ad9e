#!/bin/sh
# Debian calls this with "remove" or "upgrade"; RPM with how many versions will be left. An upgrade stops nothing.
set -e
if [ "$1" = remove ] || [ "$1" = 0 ]; then
  if [ -d /run/systemd/system ]; then systemctl disable --now armorhooks.service; fi
fi
