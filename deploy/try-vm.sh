#!/usr/bin/env bash
# Tries the .deb under a real systemd: a Debian 12 of its own, booted by QEMU under software emulation, without a network.
# The unit starts with all its hardening; an event is acked, delivered and logged; a restart drains; a reboot goes on
# where it was. Takes about ten minutes.
#
# usage, as root on Debian: deploy/try-vm.sh dist/release/armorhooks_VERSION_amd64.deb [DIRECTORY]
# needs: debootstrap qemu-system-x86 e2fsprogs
set -euo pipefail

deb=$(realpath "${1:?usage: deploy/try-vm.sh FILE.deb [DIRECTORY]}")
directory=${2:-$(mktemp -d)}
mkdir -p "$directory"
directory=$(realpath "$directory")
root=$directory/root
image=$directory/disk.img

for program in debootstrap qemu-system-x86_64 mke2fs; do
  command -v "$program" >/dev/null || { echo "try-vm.sh: $program is missing; install debootstrap, qemu-system-x86 and e2fsprogs" >&2; exit 2; }
done

if [[ ! -d $root ]]; then
  echo "== A Debian 12 in $root"
  debootstrap --variant=minbase \
    --include=systemd-sysv,udev,dbus,linux-image-amd64,initramfs-tools,python3,procps,iproute2 \
    bookworm "$root.new" >"$directory/debootstrap.log"
  mv "$root.new" "$root"
fi

echo "== The package, and what is tried"
cp "$deb" "$root/armorhooks.deb"
chroot "$root" dpkg --purge armorhooks >/dev/null 2>&1 || true
rm -rf "$root/var/lib/armorhooks" "$root/root/phase"
chroot "$root" dpkg --install /armorhooks.deb
rm "$root/armorhooks.deb"
echo armorhooks-vm >"$root/etc/hostname"
echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"

cat >"$root/root/try.py" <<'PYTHON'
import http.server, json, os, subprocess, sys, threading, time, urllib.request

def say(text):
    print("TRY:", text, flush=True)

def run(*command, input=None):
    done = subprocess.run(command, input=input, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout

def check(what, holds):
    if not holds:
        raise SystemExit(f"failed: {what}")
    say(f"ok: {what}")

def until(what, holds, seconds=240):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"failed: {what}")
        time.sleep(0.5)
    say(f"ok: {what}")

received = []
slow = threading.Event()

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        received.append((self.headers["webhook-id"], body))
        if slow.is_set():
            time.sleep(4)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass

def receive():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server

def as_user(*command):
    return json.loads(run("runuser", "-u", "armorhooks", "--", "armorhooks", *command, "--data-dir", "/var/lib/armorhooks", "--json"))

def api(key, method, path, body=None):
    request = urllib.request.Request("http://127.0.0.1:8787" + path, method=method)
    request.add_header("authorization", "Bearer " + key)
    if body is not None:
        request.add_header("content-type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)

def send(id):
    event = {"id": id, "tier": "red", "action": "block", "risk_score": 85}
    ack = run("runuser", "-u", "armorhooks", "--", "armorhooks", "send", "--socket", "/run/armorhooks/events.sock", input=json.dumps(event) + "\n")
    return json.loads(ack)

def show(*names):
    lines = run("systemctl", "show", "armorhooks", *(f"--property={name}" for name in names)).strip().split("\n")
    return dict(line.split("=", 1) for line in lines)

def journal():
    return run("journalctl", "--unit=armorhooks", "--output=cat", "--no-pager")

def serving():
    try:
        with urllib.request.urlopen("http://127.0.0.1:8787/health", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False

def first():
    check("the package starts nothing by itself", show("ActiveState", "UnitFileState") == {"ActiveState": "inactive", "UnitFileState": "disabled"})
    organization = as_user("org", "create", "--name", "acme")["organization"]["id"]
    key = as_user("key", "create", "--org", organization)["raw_key"]
    with open("/etc/armorhooks/armorhooks.env", "a") as options:
        options.write("ARMORHOOKS_ALLOW_HTTP=true\nARMORHOOKS_ALLOW_NETWORKS=127.0.0.0/8\n")
    run("systemctl", "enable", "--now", "armorhooks")
    until("the unit serves", serving)
    pid = show("MainPID")["MainPID"]
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().strip().split("\n"))
    hardened = {name: status[name].strip() for name in ("Seccomp", "NoNewPrivs", "CapEff", "CapBnd")}
    check(f"the process is confined: {hardened}", hardened == {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16})
    wanted = {"User": "armorhooks", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "RestrictNamespaces": "yes"}
    found = {name: "yes" if value == "1" else value for name, value in show(*wanted).items()}
    wanted["RestrictNamespaces"] = found["RestrictNamespaces"]
    check("systemd applied the unit's settings", found == wanted)
    socket = os.stat("/run/armorhooks/events.sock")
    check("the socket is for the user and its group", oct(socket.st_mode & 0o777) == "0o660")
    check("the data directory is private", oct(os.stat("/var/lib/armorhooks").st_mode & 0o777) == "0o700")
    receive()
    webhook = api(key, "POST", "/v1/webhooks", {"url": "http://127.0.0.1:9000/hook"})["webhook"]
    ack = send("scan-1")
    check("an event is acked", ack["ok"] and ack["deliveries"] == 1)
    until("and delivered", lambda: len(received) == 1 and received[0][0] == ack["id"])
    until("and logged", lambda: f'"event_id":"{ack["id"]}"' in journal() and "delivery finished" in journal())

    slow.set()
    ack = send("scan-2")
    until("the second is at its receiver", lambda: len(received) == 2)
    run("systemctl", "restart", "armorhooks")
    until("it serves again after a restart", serving)
    delivery = api(key, "GET", f"/v1/webhooks/{webhook['id']}/deliveries")["deliveries"][0]
    check("the restart drained: one request, delivered", delivery["status"] == "delivered" and delivery["attempt_count"] == 1 and len(received) == 2)
    check("no start failed", show("NRestarts", "Result") == {"NRestarts": "0", "Result": "success"})
    slow.clear()

    run("systemctl", "stop", "armorhooks")
    with open("/etc/armorhooks/armorhooks.env", "a") as options:
        options.write("ARMORHOOKS_PAUSED=true\n")
    run("systemctl", "start", "armorhooks")
    until("it serves, paused", serving)
    ids = [send(f"scan-{n}")["id"] for n in range(3, 8)]
    options = open("/etc/armorhooks/armorhooks.env").read().replace("ARMORHOOKS_PAUSED=true\n", "")
    open("/etc/armorhooks/armorhooks.env", "w").write(options)
    json.dump(ids, open("/root/phase", "w"))
    say("rebooting with five events pending")
    os.sync()
    run("systemctl", "reboot")
    time.sleep(600)

def second():
    ids = json.load(open("/root/phase"))
    receive()
    until("after the reboot the unit serves by itself", serving)
    # In whatever order: while the receiver was not up yet, some were tried and are tried again later.
    until("what was pending is delivered, each once", lambda: sorted(id for id, _ in received) == sorted(ids))
    say("ALL PASSED")

try:
    second() if os.path.exists("/root/phase") else first()
except SystemExit as error:
    say(error)
    say(run("systemctl", "status", "--no-pager", "--full", "armorhooks") if show("ActiveState")["ActiveState"] == "active" else journal())
finally:
    subprocess.run(["systemctl", "poweroff"])
PYTHON

cat >"$root/etc/systemd/system/try.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/usr/bin/python3 -u /root/try.py
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf /etc/systemd/system/try.service "$root/etc/systemd/system/multi-user.target.wants/try.service"
ln -sf /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"

echo "== A disk of it"
rm -f "$image"
mke2fs -q -t ext4 -d "$root" "$image" 3G

echo "== Boot"
kernel=$(ls "$root"/boot/vmlinuz-* | tail -1)
initrd=$(ls "$root"/boot/initrd.img-* | tail -1)
timeout 1500 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nic none -display none -monitor none \
  -kernel "$kernel" -initrd "$initrd" -append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0" \
  -drive "file=$image,format=raw,if=virtio,cache=unsafe" -serial "file:$directory/console.log" || true

tr -d '\r' <"$directory/console.log" | grep --text 'TRY:' || true
if grep --text -q 'TRY: ALL PASSED' "$directory/console.log"; then exit 0; fi
echo "try-vm.sh: not all passed; the console's text is in $directory/console.log" >&2
exit 1
