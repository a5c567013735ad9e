import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Whether tests that make certificates must be left out: only where openssl is not installed, and never in
 * CI, where its absence is a failure.
 */
export const withoutOpenssl = Bun.which("openssl") === null && !process.env["CI"];
if (withoutOpenssl) console.warn("openssl is not installed: tests of TLS certificates are skipped");

/** A certificate and its private key, both PEM; `certFile` is the certificate on disk. */
export interface Certificate {
  cert: string;
  key: string;
  certFile: string;
}

export interface LeafOptions {
  /** Subject alternative names as openssl writes them: `DNS:hooks.test`, `IP:127.0.0.1`. */
  names: readonly string[];
  expired?: boolean;
}

export interface Authority extends Certificate {
  /** A server certificate of this authority. */
  issue(options: LeafOptions): Certificate;
}

const PAST = ["20200101000000Z", "20210101000000Z"] as const;
const PRESENT = ["20200101000000Z", "20491231000000Z"] as const;

/** A certificate authority of our own, its files in `dir`. Needs openssl on the PATH. */
export function createAuthority(dir: string, name = "test-root"): Authority {
  const config = writeConfig(dir, name);
  const root = selfSigned(dir, name, ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"]);
  let issued = 0;
  return {
    ...root,
    issue({ names, expired = false }) {
      issued += 1;
      const leaf = `${name}-${issued}`;
      const path = (suffix: string) => join(dir, `${leaf}.${suffix}`);
      const [start, end] = expired ? PAST : PRESENT;
      writeFileSync(path("ext"), `subjectAltName=${names.join(",")}\nbasicConstraints=CA:FALSE\n`);
      openssl(`req -new -config ${config} ${newKey(dir, leaf)} -subj /CN=${leaf} -out ${path("csr")}`);
      openssl(
        `ca -batch -notext -config ${config} -cert ${root.certFile} -keyfile ${join(dir, `${name}.key`)} ` +
          `-in ${path("csr")} -out ${path("pem")} -extfile ${path("ext")} -startdate ${start} -enddate ${end}`,
      );
      return load(dir, leaf);
    },
  };
}

/** A server certificate that vouches for itself. */
export function selfSignedLeaf(dir: string, names: readonly string[]): Certificate {
  writeConfig(dir, "self-signed");
  return selfSigned(dir, "self-signed", [`subjectAltName=${names.join(",")}`]);
}

function selfSigned(dir: string, name: string, extensions: readonly string[]): Certificate {
  const added = extensions.map((extension) => `-addext ${extension}`).join(" ");
  openssl(
    `req -x509 -config ${join(dir, `${name}.cnf`)} ${newKey(dir, name)} -subj /CN=${name} -days 3650 ${added} -out ${join(dir, `${name}.pem`)}`,
  );
  return load(dir, name);
}

function newKey(dir: string, name: string): string {
  return `-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ${join(dir, `${name}.key`)}`;
}

function load(dir: string, name: string): Certificate {
  const certFile = join(dir, `${name}.pem`);
  return {
    cert: readFileSync(certFile, "utf8"),
    key: readFileSync(join(dir, `${name}.key`), "utf8"),
    certFile,
  };
}

/** `openssl ca` is the command that takes dates in the past in every version; it wants a small database. */
function writeConfig(dir: string, name: string): string {
  const config = join(dir, `${name}.cnf`);
  const database = join(dir, `${name}.db`);
  writeFileSync(database, "");
  writeFileSync(
    config,
    "[req]\ndistinguished_name=subject\n[subject]\n[ca]\ndefault_ca=own\n" +
      `[own]\ndatabase=${database}\nnew_certs_dir=${dir}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n` +
      "[any]\ncommonName=supplied\n",
  );
  return config;
}

function openssl(command: string): void {
  const { status, stderr, error } = spawnSync("openssl", command.split(" "), { timeout: 20_000 });
  if (error) throw new Error(`openssl cannot be run: ${error.message}`);
  if (status !== 0) throw new Error(`openssl ${command}: ${stderr}`);
}
