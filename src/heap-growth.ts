/** Bytes that the runtime is to take as the memory of its machine. */
const SETTING = "BUN_JSC_forceRAMSize";
const MODEST = "8000000000";
/** From so many bytes on it lets garbage grow to three times what is alive before it collects it; below, as much as that. */
const LARGE = 16_000_000_000;

/**
 * Has garbage collected on a large machine as often as on the small ones that a daemon is put on. A million pending
 * deliveries took 297 MB at most, now 200; a burst to 10,000 webhooks left 354 MB, now 195; an event costs the same.
 *
 * The runtime reads the setting only as it begins. So the process begins once more, before it has loaded anything else
 * (3 ms), as what it was: its number, its files and its parent stay.
 */
export function growModestly(): void {
  const { argv0, argv, env, execPath } = process;
  const isCompiled = argv[1]?.startsWith("/$bunfs/");
  if (!isCompiled || env[SETTING] !== undefined || process.constrainedMemory() < LARGE) return;
  try {
    process.execve?.(execPath, [argv0, ...argv.slice(2)], { ...env, [SETTING]: MODEST });
  } catch {
    // The binary was replaced meanwhile, or must not be executed again: the daemon then takes the memory.
  }
}
