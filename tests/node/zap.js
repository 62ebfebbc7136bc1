// Runs operations of docs/examples/zapier as Zapier does, with the npm package's own tester.
// In: a line {"operation", "bundle"} for each, "operation" a path into the app, or "validate".
// Out: a line for each, {"result"} or {"error"}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

console.log = console.info = console.error; // the package talks there, answers go to stdout

const require = createRequire(import.meta.url);
const zapier = require("zapier-platform-core");
const { compileApp, validateApp } = require("zapier-platform-core/src/tools/schema");
const app = require("../../docs/examples/zapier/index.js");

const run = zapier.createAppTester(app);

const answer = async ({ operation, bundle }) => {
  if (operation === "validate") return validateApp(compileApp(app)).map((error) => error.stack);
  return run(
    operation.split(".").reduce((part, name) => part[name], app),
    bundle,
  );
};

for await (const line of createInterface({ input: process.stdin })) {
  const said = await answer(JSON.parse(line)).then(
    (result) => ({ result }),
    (error) => ({ error: error.message }),
  );
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
