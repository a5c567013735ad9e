import { Command } from "commander";
import { optionFor } from "../config/options.ts";
import { UsageError } from "../errors.ts";
import { DEFAULT_PLAN, isPlan, PLANS, type Plan } from "../plans.ts";
import { printable } from "./output.ts";
import { print, printJson, printTable } from "./results.ts";
import { organizationView } from "./views.ts";
import { withStore } from "./with-store.ts";

interface Common {
  dataDir: string;
  database?: string;
  json?: boolean;
}

/** `armorhooks org …` */
export function organizationCommand(): Command {
  const command = new Command("org").description("manage organizations");
  command
    .command("create")
    .description("create an organization")
    .requiredOption("--name <NAME>", "its name", parseName)
    .option("--plan <PLAN>", `one of ${PLANS.join(", ")}`, parsePlan, DEFAULT_PLAN)
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  armorhooks org create --name acme --plan enterprise --json")
    .action(({ name, plan, ...common }: Common & { name: string; plan: Plan }) =>
      withStore(common, async (store) => {
        await show(await store.organizations.create({ name, plan }), common);
      }),
    );
  command
    .command("list")
    .description("list organizations")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  armorhooks org list")
    .action((common: Common) =>
      withStore(common, async (store) => {
        const views = (await store.organizations.list()).map(organizationView);
        if (common.json) return printJson({ organizations: views });
        await printTable(
          ["ID", "NAME", "PLAN", "CREATED"],
          views.map((view) => [view.id, printable(view.name), view.plan, view.created_at]),
        );
      }),
    );
  command
    .command("update")
    .description("rename an organization or change its plan; a running daemon follows within a second")
    .argument("<ID>", "the organization's id")
    .option("--name <NAME>", "its new name", parseName)
    .option("--plan <PLAN>", `one of ${PLANS.join(", ")}`, parsePlan)
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  armorhooks org update 7d1c… --plan professional")
    .action((id: string, { name, plan, ...common }: Common & { name?: string; plan?: Plan }) => {
      if (name === undefined && plan === undefined)
        throw new UsageError("say what to change: --name or --plan");
      return withStore(common, async (store) => {
        const updated = await store.organizations.update(id.toLowerCase(), {
          ...(name && { name }),
          ...(plan && { plan }),
        });
        if (!updated)
          throw new UsageError(`no organization has this id in ${store.place}; see armorhooks org list`, 1);
        await show(updated, common);
      });
    });
  return command;
}

async function show(organization: Parameters<typeof organizationView>[0], { json }: Common): Promise<void> {
  const view = organizationView(organization);
  const text = `organization ${view.id} (${printable(view.name)}, plan ${view.plan})`;
  const done = `it is done: ${text}`;
  await (json ? printJson({ organization: view }, done) : print(text, done));
}

/** A name for people: 1 to 200 characters. Throws UsageError. */
export function parseName(text: string): string {
  const name = text.trim();
  if (name === "" || name.length > 200) throw new UsageError("--name must have 1 to 200 characters");
  return name;
}

function parsePlan(text: string): Plan {
  if (isPlan(text)) return text;
  throw new UsageError(`--plan must be one of ${PLANS.join(", ")}`);
}
