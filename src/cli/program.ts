import { Command, CommanderError } from "commander";
import { dropEmptyVariables } from "../config/environment.ts";
import { isDefaultOf, optionFor, serveOptions } from "../config/options.ts";
import { shownValue } from "../config/parse.ts";
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
import { OutputError, print, printJson } from "./results.ts";
import { notifySecretCommand, secretKeyCommand } from "./secrets.ts";
import { send } from "./send.ts";
import { serve } from "./serve.ts";
import { statusCommand } from "./status.ts";
import { tailCommand } from "./tail.ts";
import { webhookCommand } from "./webhooks.ts";

/** Runs one command line; the answer is the exit code. Every refusal is one line on standard error, and with --json an object on standard output. */
export async function run(args: readonly string[]): Promise<number> {
  dropEmptyVariables();
  let exitCode = 0;
  const program = createProgram((code) => {
    exitCode = code;
  });
  const help = takeOver(program);
  try {
    await program.parseAsync(args, { from: "user" }).catch(refuseUnlessEnded);
    if (help.length > 0) await print(help.join("").trimEnd());
    return exitCode;
  } catch (error) {
    return await refuse(error, args.includes("--json"));
  }
}

/** Commander would end the process itself, and print errors in its own way; what it prints on standard output is gathered. */
function takeOver(command: Command, help: string[] = []): readonly string[] {
  command.exitOverride();
  command.configureOutput({ writeOut: (text) => help.push(text), outputError: () => {} });
  // What was added is no heir of these.
  for (const child of command.commands) takeOver(child, help);
  return help;
}

/** What commander refuses, in one line and without what may be a secret: values of options that it does not know, surplus arguments, URLs. */
function refuseUnlessEnded(error: unknown): void {
  if (!(error instanceof CommanderError)) throw error;
  if (error.exitCode === 0) return;
  // Its help is on standard error already.
  if (error.code === "commander.help") throw new UsageError("say which command");
  const line = error.message
    .replace(/^error: /, "")
    .replace(/^(unknown option '[^'=]+)=[\s\S]*'/, "$1'")
    .replace(/^(too many arguments .* but got \d+): [\s\S]*/, "$1")
    .replace(/'[^']*:\/\/[\s\S]*?'(?= is invalid| from env '| \(|$)/, (quoted) => `${shownValue(quoted)}'`)
    .replaceAll("\n", " ");
  throw new UsageError(line);
}

/** Prints why a command has failed; the answer is its exit code. */
async function refuse(error: unknown, json: boolean): Promise<number> {
  if (error instanceof OutputError) {
    if (!error.isQuiet) console.error(`armorhooks: ${error.message}`);
    return error.exitCode;
  }
  const isFromApi = error instanceof ApiRefusal;
  if (!isFromApi) console.error(`armorhooks: ${messageOf(error)}`);
  try {
    if (isFromApi) await printJson(error.answer);
    else if (json) await printJson({ error: { message: messageOf(error) } });
  } catch (unwritable) {
    if (isFromApi) return refuse(unwritable, false);
    // Standard error has said it.
  }
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
      "send scan events, one JSON object per line, to the socket; exit code 0 all accepted, 1 any refused, 3 no daemon, or it went before all was answered",
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
    .action(() => print(VERSION));

  return program;
}
