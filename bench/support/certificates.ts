import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A private CA and a certificate of its for `localhost`, made for one run. */
export interface Certificates {
  caFile: string;
  ca: string;
  cert: string;
  key: string;
}

/** Names under which many hosts can be told apart, where the system resolves them. */
export const manyNames = (index: number): string => `host-${index}.bench.localhost`;

const EXTENSIONS = "subjectAltName=DNS:localhost,DNS:*.bench.localhost,IP:127.0.0.1\n";
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Null where there is no openssl to make them. */
export function makeCertificates(dir: string): Certificates | null {
  const openssl = Bun.which("openssl");
  if (!openssl) return null;
  const file = (name: string): string => join(dir, name);
  const run = (...args: string[]): void => {
    const { success, stderr } = Bun.spawnSync([openssl, ...args], { cwd: dir });
    if (!success) throw new Error(`openssl: ${stderr.toString()}`);
  };
  writeFileSync(file("extensions"), EXTENSIONS);
  run("req", "-x509", ...KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=bench CA");
  run("req", "-new", ...KEY, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost");
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions"];
  run("x509", "-req", "-in", "request.pem", ...signing, "-days", "30", "-out", "cert.pem");
  return {
    caFile: file("ca.pem"),
    ca: readFileSync(file("ca.pem"), "utf8"),
    cert: readFileSync(file("cert.pem"), "utf8"),
    key: readFileSync(file("key.pem"), "utf8"),
  };
}
