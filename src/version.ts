import manifest from "../package.json";

/** The version of this build, as in package.json. */
export const VERSION: string = manifest.version;
