import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { SNIPPETS } from "../../src/dashboard/snippets.ts";
import { newDir, removeDir } from "../support/daemon.ts";

const SECRET = "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90";
const OTHER_SECRET = SECRET.replaceAll("a", "0");
const BODY = '{"event":"red_tier","signals":[{"type":"naïve ✓"}]}';
const ID = "019bc0f6-5bff-7000-9d3a-52c8f1d7a460";

const dir = newDir();
afterAll(() => removeDir(dir));

const sign = (secret: string, at: Date): string => new Webhook(secret).sign(ID, at, BODY);
const headersOf = (at: Date, signature: string) => ({
  "webhook-id": ID,
  "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
  "webhook-signature": signature,
});

const now = new Date();
const old = new Date(now.getTime() - 3_600_000);
const CASES = [
  { headers: headersOf(now, sign(SECRET, now)), genuine: true },
  // While a rotated secret is still valid there are two signatures.
  { headers: headersOf(now, `${sign(OTHER_SECRET, now)} ${sign(SECRET, now)}`), genuine: true },
  { headers: headersOf(now, sign(OTHER_SECRET, now)), genuine: false },
  { headers: headersOf(now, "v1,"), genuine: false },
  { headers: headersOf(old, sign(SECRET, old)), genuine: false },
  { headers: { ...headersOf(now, sign(SECRET, now)), "webhook-id": "another" }, genuine: false },
];

/** What each language says of every case, in order: the code as it is shown, and a few lines that call it. */
const RUNNERS: Record<string, { file: string; calls: string; command: string[] }> = {
  Node: {
    file: "verify.mjs",
    calls: `const { cases, body, secret } = JSON.parse(process.argv[2]);
console.log(JSON.stringify(cases.map(({ headers }) => isGenuine(headers, Buffer.from(body), secret))));`,
    command: ["node"],
  },
  Python: {
    file: "verify.py",
    calls: `import json, sys
given = json.loads(sys.argv[1])
print(json.dumps([is_genuine(case["headers"], given["body"].encode(), given["secret"]) for case in given["cases"]]))`,
    command: ["python3"],
  },
  Go: {
    file: "verify.go",
    calls: `func main() {
	var given struct {
		Cases  []struct{ Headers map[string]string }
		Body   string
		Secret string
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &given); err != nil {
		panic(err)
	}
	said := []bool{}
	for _, one := range given.Cases {
		h := http.Header{}
		for name, value := range one.Headers {
			h.Set(name, value)
		}
		said = append(said, IsGenuine(h, []byte(given.Body), given.Secret))
	}
	text, _ := json.Marshal(said)
	fmt.Println(string(text))
}`,
    command: ["go", "run"],
  },
};

test.each(SNIPPETS)(
  "the code for $name tells genuine requests from others",
  ({ name, text }) => {
    const { file, calls, command } = RUNNERS[name] as (typeof RUNNERS)[string];
    if (Bun.which(command[0] as string) === null) return console.warn(`skipped: no ${command[0]} here`);
    const program =
      name === "Go"
        ? text.replace("package webhook", "package main").replace('"fmt"', '"encoding/json"\n\t"fmt"\n\t"os"')
        : text;
    const path = join(dir, file);
    writeFileSync(path, `${program}\n${calls}\n`);
    const given = JSON.stringify({ cases: CASES, body: BODY, secret: SECRET });
    const { stdout, stderr } = Bun.spawnSync([...command, path, given], { cwd: dir });
    expect(stderr.toString()).toBe("");
    expect(JSON.parse(stdout.toString())).toEqual(CASES.map(({ genuine }) => genuine));
  },
  60_000,
);
