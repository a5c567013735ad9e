import { Command, CommanderError } from "commander";
import { dropEmptyVariables } from "../config/environment.ts";
import { isDefaultOf, optionFor, serveOptions } from "../config/options.ts";
import { socketPath, toConfig } from "../config/resolve.ts";
import { messageOf, UsageError } from "../errors.ts";
import { VERSION } from "../version.ts";
import { ApiRefusal } from "./api.ts";
import { backupCommand } from "./backup.ts";
import { doctorCommand } from "./doctor.ts";
import { healthCommand } from "./health.ts";
import { keyCommand } from "./keys.ts";
import { listenCommand } from "./listen.ts";
import { moveCommand } from "./move.ts";
import { openApiDocument } from "./openapi.ts";
import { organizationCommand } from "./organizations.ts";
import { printJson } from "./output.ts";
import { notifySecretCommand, secretKeyCommand } from "./secrets.ts";
import { send } from "./send.ts";
import { serve } from "./serve.ts";
import { statusCommand } from "./status.ts";
import { tailCommand } from "./tail.ts";
import { webhookCommand } from "./webhooks.ts";

/** Runs one command line; the answer is the exit code. Every refusal is one line: the API's own with --json, or one on standard error. */
export async function run(args: readonly string[]): Promise<number> {
  dropEmptyVariables();
  let exitCode = 0;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    return exitCodeOf(error);
  }
}

function exitCodeOf(error: unknown): number {
  // Commander has printed its own line; its code 1 is our 2.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof ApiRefusal) {
    printJson(error.answer);
    return error.exitCode;
  }
  console.error(`armorhooks: ${messageOf(error)}`);
  return error instanceof UsageError ? error.exitCode : 1;
}

function createProgram(setExitCode: (code: number) => void): Command {
  const program = new Command("armorhooks")
    .description("Delivers scan events as signed webhooks, and loses none.")
    .version(VERSION, "-v, --version", "print the version")
    .helpCommand("help [command]", "help on a command")
    .showHelpAfterError(false)
    .addHelpText("after", "\nExample:\n  armorhooks serve --bootstrap");

  const serveCommand = program.command("serve").description("run the daemon");
  for (const option of serveOptions()) serveCommand.addOption(option);
  serveCommand
    .option(
      "--bootstrap",
      "on an empty database, create the organization default and one API key, and print the key",
    )
    .addHelpText("after", "\nExample:\n  armorhooks serve --data-dir /var/lib/armorhooks --port 8787")
    .action(async ({ bootstrap, ...options }, command: Command) => {
      const isDefault = isDefaultOf(command);
      setExitCode(await serve(toConfig(options, { isDefault }), bootstrap === true));
    });

  program.addCommand(organizationCommand());
  program.addCommand(keyCommand());

  program
    .command("send")
    .description(
      "send scan events, one JSON object per line, to the socket; exit code 0 all accepted, 1 any refused, 3 no daemon",
    )
    .argument("[FILE]", "file to read; standard input when left out")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("socket"))
    .addHelpText(
      "after",
      '\nExample:\n  echo \'{"tier":"red","action":"block","risk_score":85}\' | armorhooks send',
    )
    .action(async (file: string | undefined, { dataDir, socket }: { dataDir: string; socket?: string }) => {
      setExitCode(await send(socketPath(dataDir, socket), file));
    });

  program.addCommand(webhookCommand(setExitCode));
  program.addCommand(listenCommand());
  program.addCommand(tailCommand());
  program.addCommand(statusCommand(setExitCode));
  program.addCommand(doctorCommand(setExitCode));
  program.addCommand(backupCommand());
  program.addCommand(moveCommand());
  program.addCommand(healthCommand(setExitCode));
  program.addCommand(secretKeyCommand());
  program.addCommand(notifySecretCommand());

  program
    .command("openapi")
    .description("print the OpenAPI document")
    .addHelpText("after", "\nExample:\n  armorhooks openapi > openapi.json")
    .action(async () => printJson(await openApiDocument()));

  program
    .command("version")
    .description("print the version")
    .addHelpText("after", "\nExample:\n  armorhooks version")
    .action(() => console.log(VERSION));

  exitInsteadOfEnding(program);
  return program;
}

/** Commander would end the process itself; and subcommands do not inherit this. */
function exitInsteadOfEnding(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) exitInsteadOfEnding(child);
}
