import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Enums, Models, Serialize, Spec } from "@cyclonedx/cyclonedx-library";
import manifest from "../package.json";
import { ROOT, sourceDate } from "./run.ts";
import { RUNTIME_VERSION, TARGETS } from "./targets.ts";

/** A package as bun.lock names it: id, registry, what it needs, checksum. */
type Locked = [
  id: string,
  registry: string,
  needs: { dependencies?: Record<string, string> },
  integrity: string,
];

/** What is inside the binaries, as a CycloneDX 1.6 document: the runtime and every package that the program needs. */
export async function describeBinary(): Promise<string> {
  const bom = new Models.Bom({ version: 1 });
  bom.metadata.timestamp = new Date((await sourceDate()) * 1000);
  const program = new Models.Component(Enums.ComponentType.Application, manifest.name, {
    version: manifest.version,
    bomRef: `${manifest.name}@${manifest.version}`,
    description: manifest.description,
    licenses: licenses(manifest.license),
  });
  bom.metadata.component = program;
  const runtime = describeRuntime();
  bom.components.add(runtime);
  program.dependencies.add(runtime.bomRef);
  const packages = readLock();
  const described = new Map<string, Models.Component>();
  const add = (needed: string, by: string): Models.Component => {
    const place = resolve(packages, needed, by);
    const known = described.get(place);
    if (known) return known;
    const locked = packages.get(place) as Locked;
    const component = describePackage(place, locked);
    described.set(place, component);
    bom.components.add(component);
    for (const name of Object.keys(locked[2].dependencies ?? {})) {
      component.dependencies.add(add(name, place).bomRef);
    }
    return component;
  };
  for (const name of Object.keys(manifest.dependencies)) program.dependencies.add(add(name, "").bomRef);
  const factory = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  const text = new Serialize.JsonSerializer(factory).serialize(bom, { sortLists: true, space: 2 });
  return `${text}\n`;
}

function describeRuntime(): Models.Component {
  return new Models.Component(Enums.ComponentType.Platform, "bun", {
    version: RUNTIME_VERSION,
    bomRef: `bun@${RUNTIME_VERSION}`,
    purl: `pkg:npm/bun@${RUNTIME_VERSION}`,
    licenses: licenses("MIT"),
    properties: new Models.PropertyRepository(
      TARGETS.map(({ name, runtime, integrity }) => {
        return new Models.Property(
          `armorhooks:runtime:${name}`,
          `${runtime}@${RUNTIME_VERSION} ${integrity}`,
        );
      }),
    ),
  });
}

/** The lockfile is JSON with commas before closing brackets. */
function readLock(): Map<string, Locked> {
  const text = readFileSync(join(ROOT, "bun.lock"), "utf8").replace(/,(\s*[}\]])/g, "$1");
  return new Map(Object.entries((JSON.parse(text) as { packages: Record<string, Locked> }).packages));
}

/** Where the lockfile has the package that `by` needs: beside it or in a place further up. */
function resolve(packages: Map<string, Locked>, name: string, by: string): string {
  const places = by === "" ? [] : placesAbove(by).map((place) => `${place}/${name}`);
  const found = [...places, name].find((place) => packages.has(place));
  if (found === undefined)
    throw new Error(`bun.lock does not have ${name}, which ${by || "the project"} needs`);
  return found;
}

function placesAbove(place: string): string[] {
  const parts = place.match(/(@[^/]+\/)?[^/]+/g) ?? [];
  return parts.map((_, i) => parts.slice(0, parts.length - i).join("/"));
}

function describePackage(place: string, [id, , , integrity]: Locked): Models.Component {
  const at = id.lastIndexOf("@");
  const name = id.slice(0, at);
  const version = id.slice(at + 1);
  const directory = place.match(/(@[^/]+\/)?[^/]+/g)?.join("/node_modules/") ?? place;
  const installed = JSON.parse(readFileSync(join(ROOT, "node_modules", directory, "package.json"), "utf8"));
  if (installed.version !== version)
    throw new Error(`${place} is not installed as bun.lock says: run "bun install"`);
  const digest = Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex");
  return new Models.Component(Enums.ComponentType.Library, name, {
    version,
    bomRef: place === name ? id : `${place}@${version}`,
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
    hashes: new Models.HashDictionary([[Enums.HashAlgorithm["SHA-512"], digest]]),
    ...(typeof installed.license === "string" && { licenses: licenses(installed.license) }),
  });
}

function licenses(expression: string): Models.LicenseRepository {
  const simple = /^[\w.+-]+$/.test(expression);
  return new Models.LicenseRepository([
    simple ? new Models.SpdxLicense(expression) : new Models.LicenseExpression(expression),
  ]);
}
