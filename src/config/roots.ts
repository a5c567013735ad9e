import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { rootCertificates } from "node:tls";
import { messageOf, UsageError } from "../errors.ts";

/** The roots that HTTPS targets are verified with: null for Bun's own alone, as a list given to it replaces them. */
export function trustedRoots(caFile: string | null): string[] | null {
  return caFile === null ? null : [...rootCertificates, ...readRoots(caFile)];
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The certificates of a PEM file. Throws UsageError. */
export function readRoots(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read --ca-file ${path}: ${messageOf(error)}`);
  }
  const certificates = text.match(PEM) ?? [];
  try {
    if (certificates.length === 0) throw new Error("it holds no PEM certificate");
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch (error) {
    throw new UsageError(`--ca-file ${path} cannot be used: ${messageOf(error)}`);
  }
  return certificates;
}
