// Verifies one delivery with the npm package, as a receiver written for Node would.
// In: {"secret", "headers", "body"} as JSON on stdin. Out: the payload as JSON on stdout, exit 0;
// a delivery that does not verify: the package's message on stderr, exit 1.
import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
try {
  process.stdout.write(JSON.stringify(new Webhook(secret).verify(body, headers)));
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
