/** What a binary is made for, and of which of Bun's packages in the npm registry. */
export interface Target {
  /** As in the name of its archive. */
  name: string;
  /** The name that `bun build --target` takes. */
  compile: string;
  /** The package that holds the runtime. */
  runtime: string;
  /** The SHA-512 of that package, as the registry and every lockfile say it: what is built is what was tried. */
  integrity: string;
  /** The name that Debian has for the processor; missing where no .deb and .rpm are made. */
  debian?: "amd64" | "arm64";
}

/** The version of Bun that the checksums below belong to: that of `packageManager` in package.json. */
export const RUNTIME_VERSION = "1.4.5";

/**
 * For x64 the `baseline` packages, which ask for no AVX2. In this version they are byte for byte the same as the
 * others, as the runtime looks for itself what the processor can do: so one archive serves both.
 */
export const TARGETS: readonly Target[] = [
  {
    name: "linux-x64",
    compile: "bun-linux-x64-baseline",
    runtime: "@oven/bun-linux-x64-baseline",
    integrity:
      "sha512-s8yMwYcFnnrA178gji0gZbkE2WVDej/Ti1x770oPfihxyRxSMNhGhiAQNXV53aDeraZxksdvKV/RAdQBCd0qPA==",
    debian: "amd64",
  },
  {
    name: "linux-x64-musl",
    compile: "bun-linux-x64-musl-baseline",
    runtime: "@oven/bun-linux-x64-musl-baseline",
    integrity:
      "sha512-cWJhU8h0+MiUgpSt99sQhjxLIIosKEcKYdtKddohokUvAuN6jKOy7g7+QDTZTXtwHxz93wL3BX+L6wXVPDUH3A==",
  },
  {
    name: "linux-arm64",
    compile: "bun-linux-arm64",
    runtime: "@oven/bun-linux-aarch64",
    integrity:
      "sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
    debian: "arm64",
  },
  {
    name: "linux-arm64-musl",
    compile: "bun-linux-arm64-musl",
    runtime: "@oven/bun-linux-aarch64-musl",
    integrity:
      "sha512-XCNc+WvvMAdNNb+OWTogpy+N9wm62fkVeEVLb6how0RZhW5LPi6c7BlkeVCuWps7XjEl2saFpHFa20/1E+PAHg==",
  },
  {
    name: "darwin-arm64",
    compile: "bun-darwin-arm64",
    runtime: "@oven/bun-darwin-aarch64",
    integrity:
      "sha512-4MIFXHmctH2EhAxLXm2/qxNtv17dFtLJylvaOCsrgq6KSqHTs6eW5YSrJjRbJxYUJaR901fsN8JfZOa+CsWpWQ==",
  },
  {
    name: "darwin-x64",
    compile: "bun-darwin-x64-baseline",
    runtime: "@oven/bun-darwin-x64-baseline",
    integrity:
      "sha512-zqfLA5A4B+hYMh5WYzYSot3uZ06FzhdP0OEwQisEzdirYtXGj5cQFlfy31BGfNsAsk1Gd/w/OxJ/jqqJ3cMclw==",
  },
];
