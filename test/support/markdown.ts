import { read } from "./sources.ts";

/** A fenced block of a page. */
export interface Block {
  language: string;
  text: string;
  /** The heading above it. */
  heading: string;
}

/** Every fenced block of a page of the project, in order. */
export function blocksOf(path: string): Block[] {
  const blocks: Block[] = [];
  let heading = "";
  let open: Block | null = null;
  for (const line of read(path).split("\n")) {
    if (open && line === "```") {
      blocks.push(open);
      open = null;
    } else if (open) open.text += `${line}\n`;
    else if (line.startsWith("```")) open = { language: line.slice(3), text: "", heading };
    else if (line.startsWith("#")) heading = line.replace(/^#+ /, "");
  }
  return blocks;
}

/** The only block of a language below a heading. */
export function blockOf(path: string, heading: string, language: string): string {
  const found = blocksOf(path).filter((block) => block.heading === heading && block.language === language);
  if (found.length !== 1)
    throw new Error(`${path} has ${found.length} blocks of ${language} below "${heading}"`);
  return (found[0] as Block).text;
}

/** A page without its fenced blocks. */
export function withoutBlocks(path: string): string {
  return read(path).replaceAll(/^```[\s\S]*?^```$/gm, "");
}

/** The headings of a page, in order. */
export function headingsOf(path: string): string[] {
  return [...withoutBlocks(path).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading ?? "");
}
