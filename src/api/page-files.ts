import { bundlePage } from "./bundle-page.ts" with { type: "macro" };

/** The bundled page. Imported only when it is asked for, as this bundles it when the program runs from its sources. */
export const PAGE_FILES = bundlePage();
